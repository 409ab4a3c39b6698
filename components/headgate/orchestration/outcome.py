"""How a run ended: in words for people, as a file for programs, with the exit code that the command returns.

The file is written inside the flow, so it tells the outcome even if Prefect's server is gone by then. While a run is
under way, and for ever where it was killed, it tells that the run began. Beside it stands one file for each day
that was judged, so that the schedule knows which were missed.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime, time
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, Literal

from headgate.files import read_json, write_json
from headgate.settings import Settings

if TYPE_CHECKING:
    from headgate.contract.checks import Verdict
    from headgate.domain import Request
    from headgate.registry.versions import Version

Result = Literal["promoted", "review", "refused", "data refused"]

EXIT_CODES: dict[str, int] = {"promoted": 0, "refused": 3, "data refused": 4, "review": 5}


@dataclass(frozen=True)
class Outcome:
    """How one run of a domain ended."""

    domain: str
    as_of: str
    result: Result
    reasons: tuple[str, ...]
    version: int | None
    run_id: str
    bundle: str | None
    recalibrated: bool
    words: str

    @property
    def exit_code(self) -> int:
        """What the command returns."""
        return EXIT_CODES[self.result]

    @classmethod
    def judged(
        cls,
        domain: str,
        request: "Request",
        run_id: str,
        version: "Version",
        verdict: "Verdict",
        result: str,
        waits: str = "",
    ) -> "Outcome":
        """A candidate that the gate has judged; `waits` says what it waits for."""
        said = {
            "promoted": f"{domain} version {version.number} is promoted: it decides from now on.",
            "review": f"{domain} version {version.number} waits for a reviewer as challenger; the champion stays.",
            "refused": f"{domain} version {version.number} is refused; the champion stays.",
        }[result]
        words = " ".join([said, waits, *(verdict.reasons if result != "promoted" else ())]).replace("  ", " ").strip()
        return cls(
            domain=domain,
            as_of=request.as_of.isoformat(),
            result=result,  # type: ignore[arg-type]
            reasons=tuple(verdict.reasons),
            version=version.number,
            run_id=run_id,
            bundle=version.bundle,
            recalibrated=request.base is not None,
            words=words,
        )

    @classmethod
    def data_refused(cls, domain: str, request: "Request", run_id: str, why: str) -> "Outcome":
        """Data that nothing was trained on."""
        recalibrated = request.base is not None
        return cls(domain, request.as_of.isoformat(), "data refused", (why,), None, run_id, None, recalibrated, why)

    def then(self, second: "Outcome") -> "Outcome":
        """This refusal with its second chance, in the words of both: the second's outcome where it got further."""
        ended = second if second.result in ("promoted", "review") else self
        return replace(ended, words=f"{self.words} Its second chance: {second.words}")

    def write(self, settings: Settings) -> None:
        """Leave the outcome where `read` finds it; as of midnight UTC, its day is among `days_judged` from now on."""
        as_of = datetime.fromisoformat(self.as_of).astimezone(UTC)
        if as_of.time() == time.min:
            write_json(_days(settings, self.domain) / f"{as_of:%Y-%m-%d}.json", asdict(self))
        write_json(_file(settings, self.domain), asdict(self))

    @classmethod
    def read(cls, settings: Settings, domain: str) -> "Outcome | None":
        """The outcome of the last run of `domain`; None where there was none, or it has not ended."""
        value = _told(settings, domain)
        return cls(**(value | {"reasons": tuple(value["reasons"])})) if "result" in value else None


def days_judged(settings: Settings, domain: str) -> set[date]:
    """The days that a run of `domain` as of their midnight, UTC, has judged, whatever came of it."""
    return {date.fromisoformat(path.stem) for path in _days(settings, domain).glob("????-??-??.json")}


def begin(settings: Settings, domain: str, as_of: datetime) -> None:
    """Tell, in the place of the last outcome, that a run began in this process."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    write_json(_file(settings, domain), {"as_of": as_of.isoformat(), "began": now, "process": os.getpid()})


def last_run(settings: Settings, domain: str) -> dict[str, str] | None:
    """The last run's result, as-of and words, whether it ended or not; None where there was none."""
    value = _told(settings, domain)
    if value and "result" not in value:
        from psutil import pid_exists

        if pid_exists(value["process"]):
            value |= {"result": "under way", "words": f"since {value['began']}, process {value['process']}."}
        else:
            why = f"what began at {value['began']} was stopped or ended with a fault. The champion was left as it is."
            value |= {"result": "did not end", "words": why}
    return {name: value[name] for name in ("result", "as_of", "words")} if value else None


def _told(settings: Settings, domain: str) -> dict[str, Any]:
    path = _file(settings, domain)
    return dict(read_json(path)) if path.is_file() else {}


def _days(settings: Settings, domain: str) -> Path:
    return settings.home / "outcomes" / domain


def _file(settings: Settings, domain: str) -> Path:
    return settings.home / "outcomes" / f"{domain}.json"


@contextmanager
def step(name: str) -> Iterator[None]:
    """Tell whoever looks on which step runs, and how long it took."""
    start = perf_counter()
    print(f"  {name:<10}", end="", file=sys.stderr, flush=True)
    try:
        yield
    except BaseException:
        print(" failed", file=sys.stderr, flush=True)
        raise
    print(f" {perf_counter() - start:6.1f} s", file=sys.stderr, flush=True)
