"""How a run ended: in words for people, as a file for programs, with the exit code that the command returns.

The file is written inside the flow, so it tells the outcome even if Prefect's server is gone by then.
"""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from headgate.files import read_json, write_json
from headgate.settings import Settings

if TYPE_CHECKING:
    from headgate.domain import Request
    from headgate.gate.checks import Verdict
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
        cls, domain: str, request: "Request", run_id: str, version: "Version", verdict: "Verdict", result: str
    ) -> "Outcome":
        """A candidate that the gate has judged."""
        said = {
            "promoted": f"{domain} version {version.number} is promoted: it decides from now on.",
            "review": f"{domain} version {version.number} waits for a reviewer as challenger; the champion stays.",
            "refused": f"{domain} version {version.number} is refused; the champion stays.",
        }[result]
        words = " ".join([said, *(verdict.reasons if result != "promoted" else ())])
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

    def after(self, first: "Outcome") -> "Outcome":
        """This outcome, told with the refused one before it."""
        return replace(self, words=f"{first.words} Its second chance: {self.words}")

    def write(self, settings: Settings) -> None:
        """Leave the outcome where `read` finds it."""
        write_json(outcome_file(settings, self.domain), asdict(self))

    @classmethod
    def read(cls, settings: Settings, domain: str) -> "Outcome | None":
        """The outcome of the last run of `domain`."""
        path = outcome_file(settings, domain)
        if not path.is_file():
            return None
        value = read_json(path)
        return cls(**(value | {"reasons": tuple(value["reasons"])}))


def outcome_file(settings: Settings, domain: str) -> Path:
    """Where the last outcome of `domain` is told."""
    return settings.home / "outcomes" / f"{domain}.json"


@contextmanager
def step(name: str) -> Iterator[None]:
    """Tell whoever looks on which step runs, and how long it took."""
    start = time.perf_counter()
    print(f"  {name:<10}", end="", file=sys.stderr, flush=True)
    try:
        yield
    except BaseException:
        print(" failed", file=sys.stderr, flush=True)
        raise
    print(f" {time.perf_counter() - start:6.1f} s", file=sys.stderr, flush=True)
