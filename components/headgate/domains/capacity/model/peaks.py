"""The largest step of a window, from simulated paths: never from the mean, and never from per-step quantiles.

A path is made of days. Each day's highest step is the forecast's, moved by how far the days' highest steps of rolling
origins came from what had been forecast: so noise within a day is in it, and that peaks are sharper or flatter than
they were thought to be. Days are taken in blocks of consecutive ones, so how wrong a level stays from day to day is as
it was. A block begins at any of its days and goes round (Politis and Romano, A Circular Block-Resampling Procedure,
1992): so few blocks make more than a few paths. A day that is highest while an event is on takes the score of such a
day: promotions are missed by more than calm weeks are.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from headgate.domains.capacity.model.clock import DAY
from headgate.domains.capacity.model.event_features import active
from headgate.domains.capacity.model.intervals import Noise
from headgate.domains.capacity.model.origins import OriginForecast

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

#: The file of a bundle that holds the scores, by step.
PEAKS = "peaks.safetensors"

#: Scores of a kind that a version keeps, days that stay together, and paths that are drawn.
KEPT, TOGETHER, PATHS = 7_000, 7, 400

#: Scores beyond this are not drawn: one broken minute must not order a fleet.
FAR = 6.0

#: A day of which less was seen is not judged.
SEEN = 0.9

#: With fewer scores of days in events than these, such days are like others.
LEAST = 8


@dataclass(frozen=True)
class Library:
    """Scores of the highest steps of days: in blocks of consecutive ones [b, k], and of those in events [e]."""

    blocks: NDArray[np.float32]
    event: NDArray[np.float32]


@dataclass(frozen=True)
class Days:
    """The highest step of each day [n], or of each step longer than a day, and whether an event is on then."""

    highest: Floats
    event: Flags


def days(forecast: Floats, event: Flags, step: int) -> Days:
    """The days of a forecast [m] in steps of so many seconds; the last may be a part of one."""
    each = max(DAY // step, 1)
    missing = -len(forecast) % each
    values = np.pad(forecast, (0, missing), constant_values=-np.inf).reshape(-1, each)
    place = np.arange(len(values)), values.argmax(axis=1)
    return Days(values[place], np.pad(event, (0, missing)).reshape(values.shape)[place])


def together(step: int) -> int:
    """How many days, or steps longer than a day, stay together."""
    return max(TOGETHER * DAY // max(step, DAY), 1)


def collect(tried: Iterable[OriginForecast], noises: dict[str, Noise]) -> Library:
    """The scores of stretches that certify, at most KEPT of a kind.

    In a block, days of events and those that were not seen have the median of the other days of their stretch.
    """
    blocks, event = [], []
    for one in tried:
        step = one.series[0].step
        each, length = max(DAY // step, 1), together(step)
        n = len(one.times) // each // length * length
        if not n:
            continue
        on = active(one.events, one.times, one.series[0].zone)[: n * each]
        for number, series in enumerate(one.series):
            if series.series not in noises:
                continue
            said = days(one.forecast[: n * each, number], on, step)
            actual = one.actual[: n * each, number].reshape(n, each)
            seen = np.isfinite(actual).mean(axis=1) >= SEEN
            came = np.nan_to_num(actual, nan=-np.inf).max(axis=1, where=seen[:, None], initial=0.0)
            score = np.clip(noises[series.series].scores(said.highest, came), -FAR, FAR).astype(np.float32)
            event += list(score[seen & said.event])
            calm = seen & ~said.event
            if calm.any():
                blocks += list(np.where(calm, score, np.median(score[calm])).reshape(-1, length))
    whole = np.stack(blocks) if blocks else np.zeros((0, 0), np.float32)
    return Library(_some(whole, KEPT // max(whole.shape[1], 1)), _some(np.array(event, np.float32), KEPT))


def _some(scores: NDArray[np.float32], most: int) -> NDArray[np.float32]:
    """At most so many rows, from all over."""
    return scores if len(scores) <= most else scores[np.linspace(0, len(scores) - 1, most).astype(int)]


def write_libraries(bundle: Path, found: dict[int, Library]) -> None:
    """Write the scores into a bundle, by the step of their series."""
    from safetensors.numpy import save_file

    tensors = {f"{step}/{name}": getattr(one, name) for step, one in found.items() for name in ("blocks", "event")}
    save_file({name: np.ascontiguousarray(scores) for name, scores in tensors.items()}, bundle / PEAKS)


def read_libraries(bundle: Path) -> dict[int, Library]:
    """The inverse of `write_libraries`. A bundle of before peaks were of days has none: its forecasts stay of use."""
    from safetensors.numpy import load_file

    tensors = load_file(bundle / PEAKS)
    steps = {step for step, slash, _ in (name.partition("/") for name in tensors) if slash}
    return {int(step): Library(tensors[f"{step}/blocks"], tensors[f"{step}/event"]) for step in steps}


def peak(said: Days, noise: Noise, library: Library, widen: float = 1.0, seed: int = 0) -> Floats:
    """The largest value [PATHS] of a forecast's days on each simulated path; `widen` multiplies the scores.

    Raises ValueError where the library is empty.
    """
    if not len(library.blocks):
        raise ValueError("no origin could show how peaks fall")
    random = np.random.default_rng(seed)
    length, of_events = library.blocks.shape[1], len(library.event)
    highest = np.full(PATHS, -np.inf)
    for start in range(0, len(said.highest), length):
        value, event = said.highest[start : start + length], said.event[start : start + length]
        rows, first = random.integers(0, len(library.blocks), PATHS), random.integers(0, length, PATHS)
        special = random.integers(0, max(of_events, 1), PATHS)
        drawn = library.blocks[rows[:, None], (first[:, None] + np.arange(len(value))) % length]
        if of_events >= LEAST:
            drawn = np.where(event, library.event[special, None], drawn)
        highest = np.maximum(highest, noise.at(value, widen * drawn).max(axis=1))
    return highest
