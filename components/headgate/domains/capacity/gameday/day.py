"""A game day from its first request to its last: the search, and the rehearsal of the event's path."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from headgate.domains.capacity.companions import local_time
from headgate.domains.capacity.gameday.path import Upper, milliseconds, windows
from headgate.domains.capacity.gameday.report import GameDay, Rehearsal, Tried
from headgate.errors import HeadgateError
from headgate.load.generator import Progress
from headgate.load.limit import Step, search
from headgate.load.trial import PROBES, RECOVERY, STRETCH, Trial


@dataclass(frozen=True)
class Asked:
    """What a game day is asked for."""

    event: str
    first: float  # requests a second
    most: float
    within: float  # seconds that the search may take
    rehearse: float  # seconds of the path; 0 leaves it out
    utilisation: float
    quantile: float
    each: float  # how much of the series a request is
    type: str

    def planned(self, step: float) -> timedelta:
        """How long it takes at most: the search, the step of so many seconds that began just before its time was over,
        the path, and twice the time to recover before them and a minute for what is still under way."""
        return timedelta(seconds=self.within + STRETCH * step + self.rehearse + 2 * RECOVERY + 60)


def run(
    asked: Asked,
    on: Trial,
    path: Upper,
    forecast: tuple[int, str],
    masks: list[str],
    progress: Callable[[float], Progress | None] = lambda _: None,
) -> GameDay:
    """Search, and then rehearse the path at what was found; Ctrl-C ends it with what there is.

    `forecast` is the version and the id of its calendar. Raises HeadgateError where not even a first step was made.
    """
    started = datetime.now(UTC)
    on.until = time.monotonic() + asked.within
    found = search(on.attempt, first=asked.first, most=asked.most)
    rehearsal, stopped, failed = None, found.limited == "interrupted", found.failed
    if asked.rehearse and math.isfinite(found.rate) and not stopped and not failed:
        try:
            rehearsal = _rehearse(asked, on, path, forecast, asked.utilisation * found.rate, progress)
        except KeyboardInterrupt:
            stopped = True
        except HeadgateError as error:
            failed = str(error)
    return GameDay(
        event=asked.event,
        series=path.series.series,
        step=path.series.step,
        target=on.target.address,
        type=asked.type,
        started=started,
        ended=datetime.now(UTC),
        objective=str(on.objective),
        milliseconds=1000 * on.objective.seconds,
        rate=_known(found.rate),
        low=_known(found.low),
        high=_known(found.high),
        limited=found.limited,
        stopped=stopped,
        failed=failed,
        units=_known(asked.each * found.rate * path.series.step),
        each=asked.each,
        steps=[_tried(step) for step in found.steps],
        rehearsal=rehearsal,
        masks=masks,
    )


def _rehearse(
    asked: Asked,
    on: Trial,
    path: Upper,
    forecast: tuple[int, str],
    peak: float,
    progress: Callable[[float], Progress | None],
) -> Rehearsal:
    on.recover()
    schedule = path.schedule(peak, asked.rehearse)
    on.told(f"the path of the event, up to {peak:,.0f}/s, for {schedule.seconds:.0f} s")
    measured = on.load(schedule, progress(schedule.seconds), to_the_end=True)
    if not measured.good[-PROBES:].any():
        on.recover()  # one that died is said to be gone, and not to be late
    told, broke = windows(measured, schedule, path, on.objective, on.seconds)
    return Rehearsal(
        start=local_time.brief(path.start),
        end=local_time.brief(path.end),
        quantile=asked.quantile,
        utilisation=asked.utilisation,
        peak=peak,
        load=path.peak,
        version=forecast[0],
        calendar=forecast[1],
        windows=told,
        broke=broke,
    )


def _tried(step: Step) -> Tried:
    judged = step.judged
    return Tried(
        rate=step.rate,
        requests=judged.requests,
        latency=milliseconds(judged),
        failed=judged.failed,
        by_default=judged.by_default,
        generator=round(judged.generator, 3),
        why=judged.why,
    )


def _known(value: float) -> float | None:
    """As JSON can hold it."""
    return value if math.isfinite(value) else None
