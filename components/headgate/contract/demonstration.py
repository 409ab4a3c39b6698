"""What a domain shows in `make run` beside its versions: companions in force, things made ready, and live traffic."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from headgate.contract.sizes import Sizes
from headgate.settings import Settings


@dataclass(frozen=True)
class Play:
    """What is played: raw files that end at the midnight UTC `as_of`, simulated as these arguments say."""

    source: Path
    sizes: Sizes
    scenario: str
    start: date  # the first day
    as_of: datetime
    seed: int = 0

    def arguments(self) -> dict[str, Any]:
        """All that the files depend on, as JSON: the same arguments make the same bytes."""
        told = {"scenario": self.scenario, "seed": self.seed, "start": self.start.isoformat()}
        return told | asdict(self.sizes)


@dataclass(frozen=True)
class Call:
    """A request of the traffic: `body`, JSON, is posted to `path` at the instant `at`, in seconds since the epoch."""

    path: str
    body: bytes
    at: float


@dataclass(frozen=True)
class Demonstration:
    """Each part may be left out.

    `prepare` is called once the raw files are there, before anything is trained on them, with the folder of those that
    they take the place of, if there were some: it puts companions in force, and keeps what people made of the old ones.
    `furnish` is called when a champion stands, each time that `make run` starts: what it makes is made once; it
    returns what it did in a line, or "". `traffic` yields what happens from now on, in order of time, without end;
    what it yields is sent when its time has come, and left out where the server was away for too long.
    """

    scenario: str = "calm"
    prepare: Callable[[Settings, Play, Path | None], None] | None = None
    furnish: Callable[[Settings, Play], str] | None = None
    traffic: Callable[[Settings, Play], Iterator[Call]] | None = None


def midnight(now: datetime) -> datetime:
    """The midnight UTC with which the day of `now` began."""
    return datetime.combine(now.astimezone(UTC).date(), datetime.min.time(), UTC)
