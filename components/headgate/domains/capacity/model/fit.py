"""Fit a batch of series that share a zone, a step and a calendar: how a day runs, and how large it will be.

    log forecast(t) = trend(day) + season(day) + events(t) + clock(t)

One gamma regression gives the course of the day and what events do to it (*fast*). What is left of a series after that
is its *level*: one number a local day, or a week for weekly series. Level models differ in how the trend goes
on; all are sums of the same parts, so a mixture of level models is such a sum again and explains itself.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from headgate.domains.capacity.companions.calendar import Event
from headgate.domains.capacity.data.raw import Series
from headgate.domains.capacity.model.clock import DAY, local_days
from headgate.domains.capacity.model.design import Design, fast, plan, slow
from headgate.domains.capacity.model.event_features import breaks
from headgate.domains.capacity.model.glm import CHUNK, FAINT, Gram
from headgate.domains.capacity.model.levels import LEVEL_MODELS, LevelModel, form
from headgate.domains.capacity.model.outliers import Outlier, find

Floats = NDArray[np.float64]

#: A longer history is fitted in larger steps, so that the design has at most about so many rows.
ROWS = 100_000

#: A day has a level where at least this share of what is usual for it was seen.
COVERED = 0.5


@dataclass(frozen=True)
class Batch:
    """What is known at one instant of series side by side on one grid."""

    series: tuple[Series, ...]
    zone: str
    step: int
    times: NDArray[np.int64]  # [n] epoch seconds, one step apart
    values: NDArray[np.float32]  # [n, S] NaN where missing or masked
    events: tuple[Event, ...]
    at_least: NDArray[np.bool_] | None = None  # [n, S] where the truth was at least the value
    keep: NDArray[np.bool_] | None = None  # [n, S] where a person overrules the search for outliers


@dataclass(frozen=True)
class Fitted:
    """A batch, fitted: the fast part, and the level models from the first period to the horizon."""

    series: tuple[Series, ...]
    design: Design
    dates: NDArray[np.int64]  # [T] the first local day of each period, horizon included
    known: int  # how many of them were seen
    level: Floats  # [T, S] log level as seen, NaN where it was not
    level_models: dict[str, LevelModel]
    fast: Floats  # [f, S] coefficients of the fast columns
    blocks: tuple[Outlier, ...]  # what was left out as no season explains it; rows of `times`
    times: NDArray[np.int64]  # [n] epoch seconds of the steps that were fitted

    @property
    def every(self) -> int:
        """Days of a period."""
        return self.design.days


def fit_batch(batch: Batch, *, periods: int, wanted: tuple[str, ...] = LEVEL_MODELS) -> Fitted:
    """Fit `batch` and form the level models `wanted` on its level, up to `periods` periods after its end."""
    coarse = _coarsened(batch)
    days = local_days(coarse.times, batch.zone, batch.step)
    every = max(batch.step // DAY, 1)
    first, last = int(days[0]), int(days[-1]) + every
    declared = [int(day) for day in local_days(np.array(breaks(batch.events, batch.zone), dtype=np.int64), batch.zone)]
    design = plan(batch.zone, batch.step, first, last, batch.events, declared)
    dates = np.arange(first, last + every * periods, every, dtype=np.int64)
    slow_columns = slow(design, dates, batch.events)
    fast_columns = fast(design, coarse.times + (coarse.step - batch.step) // 2, batch.events)
    row = (days - first) // every
    gram = Gram.of(
        np.concatenate([slow_columns.X[row], fast_columns.X], axis=1),
        np.concatenate([slow_columns.penalty, fast_columns.penalty]),
    )
    beta = gram.fit(coarse.values, coarse.at_least)
    blocks = _outliers(coarse, gram.X.numpy(), beta)
    if blocks:
        for block in blocks:
            coarse.values[block.low : block.high, block.series] = np.nan
        touched = sorted({block.series for block in blocks})
        seen = None if coarse.at_least is None else coarse.at_least[:, touched]
        beta[:, touched] = gram.fit(coarse.values[:, touched], seen)
    slow_beta, fast_beta = np.split(beta, [slow_columns.X.shape[1]])
    level = _levels(coarse.values, fast_columns.X, fast_beta, row, len(dates))
    known = (last - first) // every
    level_models = form(design, dates, known, level, slow_columns, slow_beta, declared, wanted)
    return Fitted(batch.series, design, dates, known, level, level_models, fast_beta, blocks, coarse.times)


def _outliers(batch: Batch, X: Floats, beta: Floats) -> tuple[Outlier, ...]:
    """Blocks that neither a season nor an event explains."""
    if batch.step >= DAY:
        return ()
    around = 4 * 3600
    near = np.zeros(len(batch.times), dtype=bool)
    for event in batch.events:
        start, end = (instant.timestamp() for instant in event.span(batch.zone))
        near |= (batch.times >= start - around) & (batch.times < end + around)
    counts = np.array([one.aggregation == "sum" for one in batch.series])
    found: list[Outlier] = []
    for part in chunks(batch.values.shape[1]):
        kept = False if batch.keep is None else batch.keep[:, part]
        values = batch.values[:, part]
        excused = np.broadcast_to(near[:, None] | kept, values.shape)
        for block in find(values, np.exp(X @ beta[:, part]), batch.step, excused, counts[part]):
            found.append(replace(block, series=block.series + part.start))
    return tuple(found)


def _levels(values: NDArray[np.float32], X: Floats, beta: Floats, row: NDArray[np.int64], periods: int) -> Floats:
    """Log level [T, S]: what was seen of a period, over what its course ``exp(X @ beta)`` would be at level one."""
    level = np.full((periods, values.shape[1]), np.nan)
    starts = np.flatnonzero(np.diff(row, prepend=-1))
    for part in chunks(values.shape[1]):
        course = np.exp(X @ beta[:, part])
        known = ~np.isnan(values[:, part])
        whole = np.add.reduceat(course, starts)
        usual = np.add.reduceat(np.where(known, course, 0.0), starts)
        seen = np.add.reduceat(np.where(known, values[:, part], 0.0), starts, dtype=np.float64)
        with np.errstate(divide="ignore", invalid="ignore"):
            found = np.log(seen / usual)
        found[:, ~seen.any(axis=0)] = FAINT  # nothing but zeros is known, and that is no lack of data
        found[~(usual >= COVERED * whole) | ~np.isfinite(found)] = np.nan
        level[row[starts], part] = found
    return level


def chunks(series: int) -> list[slice]:
    """The columns of that many series in parts, so that memory stays bounded."""
    return [slice(i, i + CHUNK) for i in range(0, series, CHUNK)]


def _coarsened(batch: Batch) -> Batch:
    """The batch in steps large enough for at most ROWS rows: the means of what is known. Its values are a copy."""
    factor = next((k for k in (1, 5, 15, 30, 60) if k * batch.step >= 3600 or len(batch.times) <= k * ROWS), 1)
    if batch.step >= 3600 or factor == 1:
        return replace(batch, values=batch.values.copy())
    skip = int(-(batch.times[0] // batch.step) % factor)  # rows before the first full step
    n = (len(batch.times) - skip) // factor * factor
    rows = slice(skip, skip + n)
    blocks = batch.values[rows].reshape(-1, factor, batch.values.shape[1])
    known = ~np.isnan(blocks)
    with np.errstate(invalid="ignore"):
        values = (np.where(known, blocks, 0).sum(axis=1) / known.sum(axis=1)).astype(np.float32)
    at_least, keep = (
        None if marks is None else np.asarray(marks[rows].reshape(blocks.shape).any(axis=1))
        for marks in (batch.at_least, batch.keep)
    )
    return replace(
        batch,
        step=batch.step * factor,
        times=batch.times[rows][::factor],
        values=values,
        at_least=at_least,
        keep=keep,
    )
