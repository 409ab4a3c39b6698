"""What `/forecast` and `/track` write to the decision log."""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from headgate.contract.row import Recorder, Role
from headgate.contract.slots import Loaded
from headgate.domains.capacity.companions.calendar import Event
from headgate.domains.capacity.model.event_features import active
from headgate.domains.capacity.model.forecaster import Forecaster
from headgate.domains.capacity.model.measures import inside
from headgate.domains.capacity.serving.log_rows import EVENTS, NO_EVENT, LoggedForecast

DOMAIN = "capacity"

#: Actuals that are remembered, so that a window that is told again and again, each time longer, is logged once.
REMEMBERED = 100_000

Key = tuple[str, int, int]  # series, step, time


@dataclass(frozen=True)
class Calendar:
    """The events that count, the id of that calendar, and how the log names it."""

    events: Sequence[Event]
    id: str
    entry: str


@dataclass(frozen=True)
class Deciding:
    """What answers a request: a version in its role, and the calendar in force."""

    loaded: Loaded
    role: Role
    calendar: Calendar

    @property
    def forecaster(self) -> Forecaster:
        """What forecasts in the version."""
        assert isinstance(self.loaded.predictor, Forecaster)
        return self.loaded.predictor


class Told:
    """The actuals that were told lately, in bounded memory. Safe to use from several threads."""

    def __init__(self, most: int = REMEMBERED) -> None:
        """Nothing was told yet."""
        self._most, self._values = most, OrderedDict[Key, float]()
        self._lock = Lock()

    def news(self, told: Iterable[tuple[Key, float]]) -> list[bool]:
        """For each actual whether it is new, or another than before; it is remembered."""
        with self._lock:
            return [self._is_new(key, value) for key, value in told]

    def _is_new(self, key: Key, value: float) -> bool:
        before = self._values.get(key)
        self._values[key] = value
        self._values.move_to_end(key)
        if len(self._values) > self._most:
            self._values.popitem(last=False)
        return before != value


def record_forecast(recorder: Recorder, by: Deciding, series: str, start: datetime, end: datetime, step: int) -> None:
    """Log that a window of `series` was forecast."""
    at = datetime.now(UTC)
    row = LoggedForecast(
        recorder.ids(1, at)[0],
        _micros(at.timestamp()),
        by.loaded.version,
        by.loaded.bundle,
        by.calendar.entry,
        by.role,
        "",
        "asked",
        "forecast",
        series,
        step,
        start=_micros(start.timestamp()),
        end=_micros(end.timestamp()),
    )
    recorder.record(DOMAIN, [row])


def record_actuals(
    recorder: Recorder,
    told: Told,
    by: Deciding,
    series: str,
    times: NDArray[np.int64],
    values: NDArray[np.float64],
    step: int,
) -> None:
    """Log what came of `series`: `values` [n] at epoch seconds `times` [n], in steps of `step` seconds, ascending."""
    pairs = [((series, step, time), value) for time, value in zip(times.tolist(), values.tolist(), strict=True)]
    new = np.array(told.news(pairs), dtype=bool)
    if not new.any():
        return
    times, values = times[new], values[new]
    forecaster, events = by.forecaster, by.calendar.events
    first, last = (datetime.fromtimestamp(int(time), UTC) for time in (times[0], times[-1] + step))
    said = forecaster.forecast(series, first, last, step=step, levels=(0.05, 0.5, 0.95), calendar=events)
    place = np.searchsorted(said.times, times)
    low, median, high = (said.quantiles[level][place] for level in (0.05, 0.5, 0.95))
    held = inside(values, low, high)
    on = _during_events(forecaster, events, series, times)
    at = datetime.now(UTC)
    decided, ids = _micros(at.timestamp()), recorder.ids(len(times), at)
    columns = zip(ids, on, held, times, values, median, low, high, strict=True)
    rows = [
        LoggedForecast(
            number,
            decided,
            by.loaded.version,
            by.loaded.bundle,
            by.calendar.entry,
            by.role,
            EVENTS if during else NO_EVENT,
            "inside" if within else "outside",
            "actual",
            series,
            step,
            time=int(time) * 1_000_000,
            actual=float(value),
            forecast=float(middle),
            low=float(bottom),
            high=float(top),
        )
        for number, during, within, time, value, middle, bottom, top in columns
    ]
    recorder.record(DOMAIN, rows)


def _during_events(
    forecaster: Forecaster, events: Sequence[Event], series: str, times: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Whether an event of the calendar is on [n] for the first part of `series` at epoch seconds `times` [n]."""
    model, columns = forecaster.parts(series)[0]
    one = model.series[columns[0]]
    return active([event for event in events if event.applies(one.region, one.service)], times, one.zone)


def _micros(seconds: float) -> int:
    return round(seconds * 1e6)
