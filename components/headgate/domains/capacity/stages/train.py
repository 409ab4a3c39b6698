"""The train step: rolling origins weigh the level models, and every series is fitted once more on all that is known."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headgate.domains.capacity.data import snapshots
from headgate.domains.capacity.model import histories, series_model
from headgate.domains.capacity.model.backtest import level_errors, origins, reach, roles, try_all, try_out
from headgate.domains.capacity.model.clock import DAY
from headgate.domains.capacity.model.cold_start import lend
from headgate.domains.capacity.model.ensemble import ensemble_weights, shared
from headgate.domains.capacity.model.event_transfer import share_kinds
from headgate.domains.capacity.model.fit import Fitted, fit_batch
from headgate.domains.capacity.model.histories import History
from headgate.domains.capacity.model.intervals import noise, steps
from headgate.domains.capacity.model.levels import LEVEL_MODELS
from headgate.domains.capacity.model.origins import OriginForecast
from headgate.domains.capacity.model.series_model import FLAT, Model, mixed
from headgate.errors import DataRefused
from headgate.files import write_json

Floats = NDArray[np.float64]

#: How far a model reaches, in periods: a year of days (per minute 180 are promised), two years of weeks.
HORIZON = {1: 366, 7: 105}

#: The level models of at most so many series of a batch are tried at the origins that tune: Prophet takes its time.
MOST_WEIGHED = 64

#: Weekly series are fitted on the newest so many periods, daily levels on all.
NEWEST = {7: 8 * 52}


def train(work: Path, out: Path) -> None:
    """Fill `out` with `model/` and `training.json`; a base's weights are kept if the snapshot brings one."""
    snapshot = snapshots.read_snapshot(work / "snapshot")
    base = series_model.read(snapshot.base) if snapshot.base else []
    kept = {one.series: model.weights[:, i] for model in base for i, one in enumerate(model.series)}
    found = [newest(history) for history in histories.load(snapshot.folder, snapshot.as_of)]
    if not found:
        raise DataRefused("No series has a single known point: check --source and --as-of.")
    weights = [weigh(history, kept) for history in found]
    fits = [fit_all(history, mine) for history, mine in zip(found, weights, strict=True)]
    tried = try_all(found, "tune", weights)
    (out / "model").mkdir()
    series_model.save(share_kinds([model for model, _ in fits]), out / "model")
    told = [
        _facts(history, model, fitted, [one for whose, _, one in tried if whose is history])
        for history, (model, fitted) in zip(found, fits, strict=True)
    ]
    write_json(out / "training.json", told)


def weigh(history: History, kept: Mapping[str, Floats] | None = None) -> Floats:
    """The weights [K, S] of the level models, from the origins that tune; those of series in `kept` [K] are kept.

    Of more than MOST_WEIGHED series a sample is weighed, and all share its weights.
    """
    few = _sampled(history)
    errors, volumes = [], []
    for origin in roles(origins(few), "tune"):
        found, volume = level_errors(few, try_out(few, origin)[0], origin)
        errors.append(found)
        volumes.append(volume)
    S = len(history.series)
    weights = np.full((len(LEVEL_MODELS), S), 1 / len(LEVEL_MODELS))
    if errors and few is history:
        weights = ensemble_weights(np.concatenate(errors), np.concatenate(volumes))
    elif errors:
        weights = np.repeat(shared(np.concatenate(errors), np.concatenate(volumes))[:, None], S, axis=1)
    for number, one in enumerate(history.series):
        if kept and one.series in kept:
            weights[:, number] = kept[one.series]
    return weights


def _sampled(history: History) -> History:
    """`history`, or an even sample of its series where it has many."""
    S = len(history.series)
    if S <= MOST_WEIGHED:
        return history
    columns = np.linspace(0, S - 1, MOST_WEIGHED).astype(int)
    return replace(history, series=tuple(history.series[i] for i in columns), values=history.values[:, columns])


def fit_all(history: History, weights: Floats) -> tuple[Model, Fitted]:
    """The model of all that is known of a history, its level models mixed by `weights` [K, S]."""
    counts = np.asarray(weights.any(axis=1))
    counts[LEVEL_MODELS.index(FLAT)] = True  # far ahead it counts in any case
    wanted = tuple(name for name, count in zip(LEVEL_MODELS, counts.tolist(), strict=True) if count)
    every = max(history.step // DAY, 1)
    fitted = fit_batch(history.known(history.until), periods=HORIZON[min(every, 7)], wanted=wanted)
    return lend(replace(mixed(fitted, weights[counts], reach(history)), weights=weights), fitted), fitted


def _facts(history: History, model: Model, fitted: Fitted, tried: list[OriginForecast]) -> dict[str, Any]:
    """What is to be told of a fit: weights, origins, how noisy its series are, and what was left out of it."""
    noises = {step: noise(tried, step) for step in steps(history.step)}
    return {
        "series": [one.series for one in history.series],
        "step": history.step,
        "until": history.until,
        "weights": {
            one.series: dict(zip(LEVEL_MODELS, model.weights[:, i].tolist(), strict=True))
            for i, one in enumerate(model.series)
        },
        "origins": [asdict(origin) for origin in origins(history)],
        "noise": {str(step): {name: asdict(value) for name, value in found.items()} for step, found in noises.items()},
        "left_out": [
            {
                "series": history.series[block.series].series,
                "start": int(fitted.times[block.low]),
                "end": int(fitted.times[min(block.high, len(fitted.times) - 1)]),
                "times": block.times,
                "reason": f"no season or event explains {block.times:.2g} times the usual load",
            }
            for block in fitted.blocks
        ],
    }


def newest(history: History) -> History:
    """The part of a history that is worth learning from."""
    every = max(history.step // DAY, 1)
    if every in NEWEST and len(history.times) > NEWEST[every]:
        cut = slice(len(history.times) - NEWEST[every], None)
        return History(history.series, history.times[cut], history.values[cut], history.calendar, history.masks)
    return history
