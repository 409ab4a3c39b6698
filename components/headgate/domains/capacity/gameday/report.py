"""What a game day found: a file of JSON in the state folder, which the fleet plan reads."""

import logging
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from headgate.errors import UsageError
from headgate.files import atomic_file

log = logging.getLogger(__name__)

#: Where game days lie in the state folder.
FOLDER = "gameday"

#: What ended the search, in words.
LIMITED = {
    "target": "",
    "generator": "The generator was the limit, not the target: requests were sent late. Give it a machine of its own; "
    "the rate is a lower bound, and no plan takes it.",
    "most": "No rate broke it: try more with --most. The rate is a lower bound, and no plan takes it.",
    "time": "The time was over before the rate settled: give it more with --within. No plan takes it.",
    "failed": "It could not go on, and no plan takes it.",
    "interrupted": "It was stopped early: no plan takes it.",
}


#: Where the rate is no limit, but is known to be carried.
LOWER = ("generator", "most")


class Tried(msgspec.Struct, frozen=True):
    """A flat step of the search."""

    rate: float
    requests: int
    latency: float | None  # the objective's quantile in ms; None where too few were answered to tell
    failed: float  # share
    by_default: float  # share
    generator: float  # what the generator took of a core
    why: str  # it broke: latency, failures, by default


class Window(msgspec.Struct, frozen=True):
    """A part of the path, as it went."""

    at: str  # the instant of the event that was rehearsed
    rate: float  # requests a second that fell due
    latency: float | None  # the objective's quantile in ms
    why: str


class Rehearsal(msgspec.Struct, frozen=True):
    """The path of the event at what one instance would carry under the plan."""

    start: str  # of the event's window
    end: str
    quantile: float
    utilisation: float
    peak: float  # requests a second
    load: float  # the highest step of the path, in the unit of the series
    version: int
    calendar: str
    windows: list[Window]
    broke: str | None  # the instant of the event at which it broke first; None where it was kept


class GameDay(msgspec.Struct, frozen=True, kw_only=True):
    """A game day. `units` is what a full instance carries of the series for one of its steps."""

    event: str
    series: str
    step: int  # of the series, in seconds
    target: str
    type: str  # of the instance that was tried; "" is one of speed 1
    started: datetime
    ended: datetime
    objective: str
    milliseconds: float  # of the objective
    rate: float | None  # requests a second; None where too little was tried
    low: float | None  # the lowest rate near it that broke
    high: float | None  # the highest rate near it that kept the objective
    limited: str  # what ended the search: a key of `LIMITED`
    stopped: bool  # by a person, in the search or after it
    failed: str  # why it could not go on
    units: float | None
    each: float  # how much of the series a request is
    steps: list[Tried]
    rehearsal: Rehearsal | None
    masks: list[str]

    @property
    def stem(self) -> str:
        """The name of its files."""
        return f"{self.started:%Y%m%dT%H%M%SZ}-{''.join(c if c.isalnum() or c in '-_.' else '-' for c in self.event)}"

    @property
    def found(self) -> bool:
        """Whether it found what a plan may use."""
        return self.limited == "target" and self.units is not None

    def source(self) -> str:
        """Where the units are from, in a few words."""
        kind = f" on {self.type}" if self.type else " (type not told, taken as speed 1)"
        return (
            f"game day {self.event} of {self.started:%Y-%m-%d}{kind}: {self.objective} broke at {self.rate:,.0f} "
            "requests/s"
        )

    def words(self) -> str:
        """A short page."""
        minutes = (self.ended - self.started).total_seconds() / 60
        steps = "1 step" if len(self.steps) == 1 else f"{len(self.steps)} steps"
        lines = [f"Game day {self.event} at {self.target}, {steps} in {minutes:.1f} min.", self._verdict()]
        lines += [LIMITED[self.limited]] if LIMITED[self.limited] else []
        if self.found:
            kind = self.type or "an instance of speed 1"
            lines.append(
                f"Full, {kind} carries {self.units:,.0f} of {self.series} in a step of {self.step} s: `units: gameday` "
                "in the fleet file takes it."
            )
        return "\n".join([*lines, *self._rehearsed(), *([self.failed] if self.failed else [])])

    def _verdict(self) -> str:
        """What became of the objective: a rate is told as the limit only where it settled."""
        if self.limited == "target":
            near = f"kept up to {self.high:,.0f}, broken from {self.low:,.0f}"
            return f"{self.objective} breaks at {self.rate:,.0f} requests/s ({near})."
        if self.limited in LOWER:
            return f"{self.objective} is kept up to {self.rate:,.0f} requests/s."
        if not self.steps:
            return f"No limit of {self.objective} was found: not one step was over."
        tried = [f"the highest rate that kept it was {self.high:,.0f}/s"] if self.high is not None else []
        tried += [f"the lowest that broke it was {self.low:,.0f}/s"] if self.low is not None else []
        return f"No limit of {self.objective} was found: {', '.join(tried)}."

    def _rehearsed(self) -> list[str]:
        one = self.rehearsal
        if one is None:
            return ["The rehearsal of the event's path was stopped."] if self.stopped and self.found else []
        about = "" if self.limited in ("target", *LOWER) else "about "
        head = (
            f"The event's {100 * one.quantile:g} % path, its peak of {one.load:,.0f} laid at {one.peak:,.0f} "
            f"requests/s ({100 * one.utilisation:g} % of {about}{one.peak / one.utilisation:,.0f})"
        )
        if one.broke is None:
            broken = sum(bool(window.why) for window in one.windows)
            seldom = f"{broken} of {len(one.windows)} windows broke, never two in a row"
            return [f"{head}: {seldom if broken else 'the objective was kept all along'}."]
        at = next(window for window in one.windows if window.at == one.broke)
        return [f"{head}: the objective broke ({at.why}) at {one.broke}, at {at.rate:,.0f} requests/s."]


def write(made: GameDay, folder: Path) -> Path:
    """Write the game day into `folder`, whole or not at all; the file."""
    path = folder / f"{made.stem}.json"
    with atomic_file(path) as draft:
        draft.write_bytes(msgspec.json.format(msgspec.json.encode(made), indent=1) + b"\n")
    return path


def plain(made: GameDay) -> dict[str, Any]:
    """The game day as JSON can hold it."""
    found: dict[str, Any] = msgspec.to_builtins(made)
    return found


def newest(home: Path, series: str) -> GameDay | None:
    """The newest game day of `series` that found its limit; None where there is none.

    What cannot be read is left out with a warning. Raises UsageError for it where nothing else is left.
    """
    mine, unread = list[GameDay](), list[UsageError]()
    for path in sorted((home / FOLDER).glob("[!.]*.json")):
        try:
            one = read(path)
        except UsageError as error:
            unread.append(error)
            continue
        mine += [one] if one.series == series and one.found else []
    if unread and not mine:
        raise unread[-1]
    for why in unread:
        log.warning("%s", why)
    return max(mine, key=lambda one: one.ended, default=None)


def read(path: Path) -> GameDay:
    """The game day in a file. Raises UsageError where it is none."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=GameDay)
    except (OSError, ValueError) as error:  # msgspec's and Unicode's are among the latter
        raise UsageError(f"{path} is no game day ({error}): remove it, or run the game day again.") from None
