"""A young series borrows: the course of an analogue, or of its region, moved to where its few days are."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from headgate.domains.capacity.model.clock import DAY
from headgate.domains.capacity.model.design import fast as columns
from headgate.domains.capacity.model.fit import Fitted
from headgate.domains.capacity.model.series_model import Model, grid

#: A series with fewer known periods than this is young.
YOUNG = {1: 21, 7: 60}

#: The level of a young series is read off at most so many newest periods.
READ = 28


def young(fitted: Fitted) -> NDArray[np.bool_]:
    """Which series [S] have too short a history to know their own season."""
    return np.asarray(np.isfinite(fitted.level[: fitted.known]).sum(axis=0) < YOUNG[min(fitted.every, 7)])


def lend(model: Model, fitted: Fitted) -> Model:
    """`model` with what its young series borrow; as it is where none is young, or all are."""
    needy = young(fitted)
    if not needy.any() or needy.all():
        return model
    names = {one.series: number for number, one in enumerate(model.series)}
    grown = np.flatnonzero(~needy).tolist()
    trend, season, effects, fast, roof = (
        array.copy() for array in (model.trend, model.season, model.effects, model.fast, model.roof)
    )
    for number in np.flatnonzero(needy).tolist():
        one = model.series[number]
        lenders = [names[one.analogue]] if one.analogue in names and not needy[names[one.analogue]] else None
        if lenders is None:
            near = [i for i in grown if (model.series[i].region, model.series[i].metric) == (one.region, one.metric)]
            lenders = near or grown
        season[:, number], effects[:, number] = season[:, lenders].mean(axis=1), effects[:, lenders].mean(axis=1)
        own = fast[:, number].copy()
        fast[:, number] = fast[:, lenders].mean(axis=1)
        course = _size(model, own) - _size(model, fast[:, number])
        apart = _apart(fitted, trend, season, number, lenders, course)
        trend[:, number] = trend[:, lenders].mean(axis=1) + apart
        roof[number] = max(roof[number], roof[lenders].max() + apart)
    return replace(model, trend=trend, season=season, effects=effects, fast=fast, roof=roof)


def _apart(
    fitted: Fitted,
    trend: NDArray[np.float64],
    season: NDArray[np.float64],
    number: int,
    lenders: list[int],
    course: float,
) -> float:
    """How far, on the log, the young series lies from its lenders' trend over the newest periods that it has.

    Its level belongs to its own course of the day, which is larger than theirs by `course`. Without a known period it
    is taken to be like them.
    """
    known = np.flatnonzero(np.isfinite(fitted.level[: fitted.known, number]))[-READ:]
    if not len(known):
        return 0.0
    own = fitted.level[known, number] - season[known, number]
    return float(np.median(own - trend[known][:, lenders].mean(axis=1))) + course


def _size(model: Model, coefficients: NDArray[np.float64]) -> float:
    """The log of how much an ordinary week holds at level one, by fast coefficients [f]."""
    if model.step >= DAY:
        return 0.0
    week = grid(7 * DAY, 14 * DAY, max(model.step, 900))
    return float(np.log(np.exp(columns(model.design, week, ()).X @ coefficients).sum()))
