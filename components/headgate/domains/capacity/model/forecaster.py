"""A loaded version: forecasts, intervals, peaks, explanations, and what if the calendar were another."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from headgate.domains.capacity.companions.calendar import Event, Mask, as_of, companion_id, read_calendar, read_masks
from headgate.domains.capacity.data.raw import Series
from headgate.domains.capacity.model import peaks, series_model
from headgate.domains.capacity.model.clock import DAY
from headgate.domains.capacity.model.event_features import active
from headgate.domains.capacity.model.intervals import SHARES, Bands, Noise, read_bands
from headgate.domains.capacity.model.series_model import Model, grid
from headgate.errors import DataRefused, UsageError
from headgate.registry.bundles import card

Floats = NDArray[np.float64]

#: The columns that a decision answers beside the forecast: the ends of the 90 % and the 80 % band, and the median.
QUANTILES = {"q05": 0.05, "q10": 0.10, "q50": 0.50, "q90": 0.90, "q95": 0.95}

#: The lowest quantile that bands know; above the median, as far from one.
LOWEST = round((1 - SHARES[-1]) / 2, 6)

ALL = "*"


@dataclass(frozen=True)
class Forecast:
    """A series' forecast: at times [n], the value of each quantile [n]; `step` seconds each."""

    series: str
    step: int
    times: NDArray[np.int64]
    quantiles: dict[float, Floats]
    certified: bool  # whether origins reached as far ahead as this
    event: NDArray[np.bool_]  # [n] whether one is on


class Forecaster:
    """The models of a bundle with their intervals."""

    def __init__(self, bundle: Path) -> None:
        """Load what `bundle` holds; it is verified by whoever fetched it."""
        described = card(bundle)
        self.as_of = datetime.fromisoformat(described["as_of"])
        self.calendar: tuple[Event, ...] = as_of(read_calendar(bundle), self.as_of)
        self.masks: tuple[Mask, ...] = as_of(read_masks(bundle), self.as_of)
        self._own = companion_id(self.calendar)
        self.models: list[Model] = series_model.read(bundle)
        self.bands, self.noise = read_bands(bundle)
        self.library = peaks.read_libraries(bundle)
        self._place = {one.series: (i, j) for i, model in enumerate(self.models) for j, one in enumerate(model.series)}

    @property
    def series(self) -> list[Series]:
        """The series that were learned from."""
        return [one for model in self.models for one in model.series]

    def parts(self, series: str) -> list[tuple[Model, list[int]]]:
        """The models and columns that `series` is the sum of; "*" as region or service stands for all of a metric.

        Raises UsageError naming some that there are.
        """
        if series in self._place:
            i, j = self._place[series]
            return [(self.models[i], [j])]
        wanted = series.split("/")
        found = [
            (model, columns)
            for model in self.models
            if (columns := [j for j, one in enumerate(model.series) if _matches(wanted, one)])
        ]
        if ALL not in wanted or not found:
            known = ", ".join(list(self._place)[:5])
            raise UsageError(f"This version has no series {series}. It has {len(self._place)}, for example {known}.")
        if len({model.step for model, _ in found}) > 1:
            finest = min(model.step for model, _ in found)
            found = [(model, columns) for model, columns in found if model.step == finest]
        if any(model.series[j].aggregation == "mean" for model, columns in found for j in columns):
            raise UsageError(f"{series} would add up gauges: only counts have totals.")
        return found

    def forecast(
        self,
        series: str,
        start: datetime,
        end: datetime,
        *,
        step: int | None = None,
        levels: Sequence[float] = (0.05, 0.1, 0.5, 0.9, 0.95),
        calendar: Sequence[Event] | None = None,
    ) -> Forecast:
        """The forecast of `series` for [start, end) in steps of `step` seconds (its own if None).

        Coarser steps add counts up and average gauges; quantiles are of the coarser step itself, not sums. Raises
        UsageError for an unknown series, a step that is not a multiple of its own, times beyond the horizon, and
        quantiles beyond those that bands hold.
        """
        found = self.parts(series)
        own, asked = found[0][0].step, step or found[0][0].step
        if asked % own:
            raise UsageError(
                f"{series} comes in steps of {own} s, so a step must be a multiple of that, not {asked} s."
            )
        if start > end:
            raise UsageError(
                f"The window ends at {end.isoformat()} and begins at {start.isoformat()}: exchange or correct them."
            )
        if beyond := [level for level in levels if not LOWEST <= level <= 1 - LOWEST]:
            raise UsageError(
                f"Bands hold 98 % at most: no quantile {beyond[0]:g} is known, ask from {LOWEST:g} to {1 - LOWEST:g}."
            )
        first, last = int(start.timestamp()), int(end.timestamp())
        times = grid(first, last, asked)
        if not len(times):
            raise UsageError(
                f"There is no step of {asked} s from {start.isoformat()} to {end.isoformat()}: ask for more."
            )
        fine = grid(int(times[0]), int(times[-1]) + asked, own)
        rows = np.zeros(len(fine))
        try:
            for model, columns in found:
                rows += np.exp(model.log_forecast(fine, self._events(model, columns, calendar), columns)).sum(axis=1)
        except UsageError as error:
            ends = int(times[-1]) + asked
            if ends <= last:
                raise
            raise UsageError(f"{error} Steps count whole, and the last ends on {instant(ends):%Y-%m-%d}.") from None
        values = rows.reshape(len(times), -1).sum(axis=1)
        one = found[0][0].series[found[0][1][0]]
        if one.aggregation == "mean":
            values = values * own / asked
        bands, noise = self._bands(series, found, asked)
        ahead = np.maximum((times + asked - self.as_of.timestamp()) / DAY, 0.0)
        on = active(self._events(found[0][0], found[0][1], calendar), times, one.zone)
        quantiles = {}
        for level in levels:
            if level != 0.5 and (bands is None or noise is None):
                raise DataRefused(f"{series} has no certified interval: its history is too short to try a forecast.")
            quantiles[level] = (
                values if bands is None or noise is None else noise.at(values, bands.score(ahead, on, level))
            )
        reach = bands is not None and bool(ahead[-1] <= bands.tested)
        return Forecast(series, asked, times, quantiles, reach, on)

    def peak(
        self,
        series: str,
        start: datetime,
        end: datetime,
        levels: Sequence[float] = (0.5, 0.9, 0.95, 0.99),
        calendar: Sequence[Event] | None = None,
    ) -> dict[float, float]:
        """Quantiles of the largest step of `series` within [start, end), from simulated paths."""
        drawn = self.largest(self.forecast(series, start, end, levels=(0.5,), calendar=calendar), end)
        return {level: float(np.quantile(drawn, level)) for level in levels}

    def largest(self, said: Forecast, end: datetime, seeds: Iterable[int] = (0,)) -> Floats:
        """The largest step [PATHS · seeds] of a forecast that ends at `end`, on each of its simulated paths.

        Raises DataRefused where no origin could show how far peaks lie from forecasts.
        """
        bands, noise = self._bands(said.series, self.parts(said.series), said.step)
        library = self.library.get(said.step)
        if bands is None or noise is None or library is None or not len(library.blocks):
            raise DataRefused(
                f"{said.series} has no certified peak: its history is too short to try a forecast, or the version was "
                "made before peaks were drawn by days, and a retraining mends it."
            )
        ahead = max((end.timestamp() - self.as_of.timestamp()) / DAY / bands.tested, 1.0)
        widen = float(np.sqrt(ahead))
        days = peaks.days(said.quantiles[0.5], said.event, said.step)
        return np.concatenate([peaks.peak(days, noise, library, widen, seed) for seed in seeds])

    def decide(self, batch: pl.DataFrame) -> pl.DataFrame:
        """Forecast every row of `batch` (series, time): forecast and the columns QUANTILES; null beyond the horizon.

        An unknown series and a time outside the version's reach have null answers.
        """
        answers = {name: np.full(len(batch), np.nan) for name in QUANTILES}
        for (name,), rows in batch.with_row_index("row").group_by("series", maintain_order=True):
            if name not in self._place:
                continue
            model, (number,) = self.parts(str(name))[0]
            ordered = rows.sort("time")
            times = ordered["time"].dt.epoch("s").to_numpy()
            inside = (times >= model.dates[0] * DAY + DAY) & (times < (model.until - 1) * DAY)
            row, times = ordered["row"].to_numpy()[inside], times[inside]
            if not len(times):
                continue
            events = self._events(model, [number], None)
            values = np.exp(model.log_forecast(times, events, [number]))[:, 0]
            bands, noise = self._bands(str(name), [(model, [number])], model.step)
            ahead = np.maximum((times + model.step - self.as_of.timestamp()) / DAY, 0.0)
            on = active(events, times, model.design.zone)
            for column, level in QUANTILES.items():
                if level == 0.5:
                    answers[column][row] = values
                elif bands is not None and noise is not None:
                    answers[column][row] = noise.at(values, bands.score(ahead, on, level))
        return pl.DataFrame({name: pl.Series(values).fill_nan(None) for name, values in answers.items()})

    def companion(self, calendar: Sequence[Event] | None = None) -> str:
        """The id of the calendar that a forecast uses."""
        return self._own if calendar is None else companion_id(calendar)

    def _events(self, model: Model, columns: Sequence[int], calendar: Sequence[Event] | None) -> tuple[Event, ...]:
        """The events that apply to a model's series; those of one model share them."""
        one = model.series[columns[0]]
        known = self.calendar if calendar is None else calendar
        return tuple(event for event in known if event.applies(one.region, one.service))

    def _bands(self, series: str, found: list[tuple[Model, list[int]]], step: int) -> tuple[Bands | None, Noise | None]:
        """The bands and the noise of a series or of a sum; a sum's errors are taken to be those of its parts, halfway
        between independent and in step."""
        own = found[0][0].step
        have = max((other for base, other in self.bands if base == own and other <= step), default=own)
        bands, noises = self.bands.get((own, have)), self.noise.get(have, {})
        mine = [noises[m.series[j].series] for m, columns in found for j in columns if m.series[j].series in noises]
        if series in noises:
            return bands, noises[series]
        if not mine:
            return bands, _shared(noises)
        sigma = float(np.mean([one.sigma for one in mine])) * (0.5 + 0.5 / np.sqrt(len(mine)))
        return bands, Noise(sigma, mine[0].smooth, mine[0].chance)


def _shared(noises: dict[str, Noise]) -> Noise | None:
    """For a series too young to have been tried: half as wide again as the others."""
    if not noises:
        return None
    values = list(noises.values())
    return Noise(1.5 * float(np.median([one.sigma for one in values])), values[0].smooth, values[0].chance)


def _matches(wanted: Sequence[str], one: Series) -> bool:
    have = (one.region, one.service, one.metric)
    return len(wanted) == 3 and all(w in (ALL, h) for w, h in zip(wanted, have, strict=True))


def instant(seconds: int | float) -> datetime:
    """Epoch seconds as an instant in UTC."""
    return datetime.fromtimestamp(seconds, UTC)
