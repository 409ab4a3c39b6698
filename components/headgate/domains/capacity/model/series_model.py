"""A fitted model of one batch of series: sums on the log, so factors to a reader.

    log forecast(t) = trend(day) + season(day) + events(t) + clock(t)

The level models are mixed into one trend, one season and one set of effects, so nothing of them is needed to
forecast, to explain, or to ask what would be if the calendar were another.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from headgate.domains.capacity.companions.calendar import Event
from headgate.domains.capacity.data.raw import Series
from headgate.domains.capacity.model.clock import DAY, local_days
from headgate.domains.capacity.model.design import Design, fast, slow
from headgate.errors import UsageError
from headgate.files import read_json, write_json

if TYPE_CHECKING:
    from headgate.domains.capacity.model.fit import Fitted

Floats = NDArray[np.float64]

#: The level model that far horizons give way to.
FLAT = "prophet"

#: A log forecast never leaves the largest level that was seen by more than this: e⁵ is a factor of 148.
HIGHEST = 5.0


@dataclass(frozen=True)
class Model:
    """Everything that forecasts S series of one batch."""

    series: tuple[Series, ...]
    design: Design
    dates: NDArray[np.int64]  # [T] the first local day of each period
    known: int  # how many of them were seen
    trend: Floats  # [T, S]
    season: Floats  # [T, S]
    effects: Floats  # [r, S] of the slow columns of events
    fast: Floats  # [f, S]
    weights: Floats  # [K, S] of the level models
    roof: Floats  # [S] the highest log level that was seen

    @property
    def step(self) -> int:
        """Seconds from forecast to forecast."""
        return self.design.step

    @property
    def until(self) -> int:
        """The last local day (since 1970) that has a forecast, and one."""
        return int(self.dates[-1]) + self.design.days

    def number(self, series: str) -> int:
        """Where a series stands; UsageError if it does not."""
        for number, one in enumerate(self.series):
            if one.series == series:
                return number
        raise UsageError(f"There is no series {series} in this version.")

    def log_level(self, events: Sequence[Event], part: slice | Sequence[int] = slice(None)) -> Floats:
        """The log level [T, s] of the series `part` under a calendar."""
        columns = slow(self.design, self.dates, events)
        effects = columns.X[:, columns.of("event")] @ self.effects[:, part]
        return np.asarray(self.trend[:, part] + self.season[:, part] + effects)

    def log_forecast(
        self, times: NDArray[np.int64], events: Sequence[Event], part: slice | Sequence[int] = slice(None)
    ) -> Floats:
        """The log forecast [n, s] of the series `part` at epoch seconds `times` [n], ascending, under a calendar.

        Raises UsageError for times before the history or beyond the horizon.
        """
        row = self.row(times)
        course = fast(self.design, times, events).X @ self.fast[:, part]
        return np.asarray(np.minimum(self.log_level(events, part)[row] + course, self.roof[part] + HIGHEST))

    def parts(self, times: NDArray[np.int64], events: Sequence[Event], number: int) -> tuple[dict[str, Floats], Floats]:
        """What one log forecast adds up from: trend, season, clock, and each kind of event, all [n]; and the sum."""
        row = self.row(times)
        slow_columns, fast_columns = slow(self.design, self.dates, events), fast(self.design, times, events)
        kinds = slow_columns.of("event")
        groups = np.array(slow_columns.groups)[kinds]
        found = {
            "trend": self.trend[row, number],
            "season": self.season[row, number],
            "clock": fast_columns.X[:, fast_columns.of("clock")] @ self.fast[fast_columns.of("clock"), number],
        }
        for kind in self.design.kinds:
            mine, quick = groups == f"event:{kind}", fast_columns.of(f"event:{kind}")
            effect = slow_columns.X[:, kinds][:, mine][row] @ self.effects[mine, number]
            found[kind] = effect + fast_columns.X[:, quick] @ self.fast[quick, number]
        return found, np.sum(list(found.values()), axis=0)

    def row(self, times: NDArray[np.int64]) -> NDArray[np.int64]:
        """The period [n] that each of `times`, ascending, lies in."""
        first, last = self._row(times[:1]), self._row(times[-1:])
        if (first < 0).any() or (last >= len(self.dates)).any():
            start, end = (np.datetime64(int(d), "D") for d in (self.dates[0], self.until - 1))
            raise UsageError(f"This version forecasts {self.series[0].series} from {start} to {end}: ask within it.")
        return self._row(times)

    def _row(self, times: NDArray[np.int64]) -> NDArray[np.int64]:
        days = local_days(times, self.design.zone, self.step)
        return np.asarray((days - self.dates[0]) // self.design.days)


def mixed(fitted: "Fitted", weights: Floats, tested: int | None = None) -> Model:
    """The model whose level is the mixture [K, S] of the level models of `fitted`.

    Weights say how far ahead they were `tested`, in periods. Further ahead, where a trend is the main danger, they give
    way to the flat level model: twice as far ahead it counts for half, and so on.
    """
    level_models = list(fitted.level_models.values())
    trend, season, effects = (
        np.einsum("kts,ks->ts", np.stack(part), weights)
        for part in zip(*((o.trend, o.season, o.effects) for o in level_models), strict=True)
    )
    if tested is not None and FLAT in fitted.level_models:
        after = np.arange(len(fitted.dates)) - (fitted.known - 1)
        kept = np.clip(max(tested, 1) / np.maximum(after, 1), 0.0, 1.0)[:, None]
        trend = kept * trend + (1 - kept) * fitted.level_models[FLAT].trend
    seen = np.where(np.isfinite(fitted.level), fitted.level, -np.inf).max(axis=0)
    return Model(
        fitted.series, fitted.design, fitted.dates, fitted.known, trend, season, effects, fitted.fast, weights, seen
    )


_ARRAYS = ("dates", "trend", "season", "effects", "fast", "weights", "roof")


def save(models: Sequence[Model], folder: Path) -> None:
    """Write models as safetensors, single precision, and one JSON file that says what they are."""
    from safetensors.numpy import save_file

    for number, model in enumerate(models):
        arrays = {name: np.ascontiguousarray(_single(getattr(model, name))) for name in _ARRAYS}
        save_file(arrays, folder / f"batch-{number}.safetensors")
    described = [
        {"series": [asdict(one) for one in model.series], "design": model.design.to_dict(), "known": model.known}
        for model in models
    ]
    write_json(folder / "model.json", described)


def read(folder: Path) -> list[Model]:
    """The models that `save` wrote."""
    from safetensors.numpy import load_file

    found = []
    for number, described in enumerate(read_json(folder / "model.json")):
        arrays: dict[str, Any] = load_file(folder / f"batch-{number}.safetensors")
        arrays = {name: values if name == "dates" else values.astype(np.float64) for name, values in arrays.items()}
        series = tuple(Series(**one) for one in described["series"])
        found.append(Model(series, Design.from_dict(described["design"]), known=described["known"], **arrays))
    return found


def _single(array: NDArray[Any]) -> NDArray[Any]:
    return array if array.dtype.kind == "i" else array.astype(np.float32)


def grid(start: int, end: int, step: int) -> NDArray[np.int64]:
    """Epoch seconds [n] of the steps that begin in [start, end)."""
    anchor = 4 * DAY  # a Monday: where weeks begin
    first = -(-(start - anchor) // step)
    last = -(-(end - anchor) // step)
    return anchor + step * np.arange(first, last, dtype=np.int64)
