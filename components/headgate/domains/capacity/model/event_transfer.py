"""A kind of event that a region has not lived through yet is taken to do what it did in the others."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from headgate.domains.capacity.model.design import EVENT_COLUMNS
from headgate.domains.capacity.model.series_model import Model

Floats = NDArray[np.float64]


def share_kinds(models: Sequence[Model]) -> list[Model]:
    """The models, each with the kinds of events that only others of its step have seen.

    A series borrows from the series of its service and metric elsewhere, or from all where there is none.
    """
    return [_borrowing(model, [other for other in models if other.step == model.step]) for model in models]


def _borrowing(model: Model, lenders: Sequence[Model]) -> Model:
    kinds = {kind for lender in lenders for kind in lender.design.kinds}
    if kinds == set(model.design.kinds):
        return model
    ordered = sorted(kinds)
    slow_rows, fast_rows = EVENT_COLUMNS if model.step < 86_400 else (EVENT_COLUMNS[0], 0)
    clock = len(model.fast) - fast_rows * len(model.design.kinds)
    highest, effects, fast = [], [], [model.fast[:clock]]
    for kind in ordered:
        owners = [model] if kind in model.design.kinds else [one for one in lenders if kind in one.design.kinds]
        at = [one.design.kinds.index(kind) for one in owners]
        highest.append(max(one.design.intensities[i] for one, i in zip(owners, at, strict=True)))
        slow_parts = [one.effects[i * slow_rows : (i + 1) * slow_rows] for one, i in zip(owners, at, strict=True)]
        begin = [
            len(one.fast) - fast_rows * len(one.design.kinds) + i * fast_rows for one, i in zip(owners, at, strict=True)
        ]
        fast_parts = [one.fast[b : b + fast_rows] for one, b in zip(owners, begin, strict=True)]
        own = owners == [model]
        effects.append(slow_parts[0] if own else _lent(model, owners, slow_parts))
        fast.append(fast_parts[0] if own else _lent(model, owners, fast_parts))
    design = replace(model.design, kinds=tuple(ordered), intensities=tuple(highest))
    return replace(model, design=design, effects=np.concatenate(effects), fast=np.concatenate(fast))


def _lent(model: Model, owners: Sequence[Model], parts: Sequence[Floats]) -> Floats:
    """Coefficients [rows, S] for the series of `model`, from those of the owners."""
    series = [one for owner in owners for one in owner.series]
    all_parts = np.concatenate(parts, axis=1)
    columns = []
    for one in model.series:
        same = [i for i, other in enumerate(series) if (other.service, other.metric) == (one.service, one.metric)]
        columns.append(all_parts[:, same or slice(None)].mean(axis=1))
    return np.stack(columns, axis=1)
