"""The largest step of a window, from simulated paths: never from the mean, and never from per-step quantiles.

A path is the forecast, moved by scores that rolling origins showed, taken in blocks of consecutive days: so noise
within a day, and how wrong a level stays from day to day, are as they were. A block begins at any of its days and goes
round (Politis and Romano, A Circular Block-Resampling Procedure, 1992): so few blocks make more than a few paths.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from headgate.domains.capacity.bands import Noise
from headgate.domains.capacity.clock import DAY
from headgate.domains.capacity.tried import Tried

Floats = NDArray[np.float64]

#: The file of a bundle that holds the scores, by step.
PEAKS = "peaks.safetensors"

#: Days of scores that a version keeps, days that stay together, and paths that are drawn.
KEPT, TOGETHER, PATHS = 224, 7, 400

#: Scores beyond this are not drawn: one broken minute must not order a fleet.
FAR = 6.0


@dataclass(frozen=True)
class Library:
    """Scores of consecutive days: runs [b] of `TOGETHER` days, each of `steps` scores."""

    scores: NDArray[np.float32]  # [b, days × steps a day]


def collect(tried: Iterable[Tried], noises: dict[str, Noise]) -> Library:
    """Runs of scores from stretches that certify; missing ones count as on the mark. At most KEPT days."""
    runs = []
    for one in tried:
        step = one.series[0].step
        length = TOGETHER * DAY // step
        for number, series in enumerate(one.series):
            if series.series not in noises or len(one.times) < length:
                continue
            score = noises[series.series].scores(one.forecast[:, number], one.actual[:, number])
            whole = np.clip(np.nan_to_num(score), -FAR, FAR)[: len(score) // length * length]
            runs += list(whole.reshape(-1, length).astype(np.float32))
    most = KEPT // TOGETHER
    chosen = runs if len(runs) <= most else [runs[i] for i in np.linspace(0, len(runs) - 1, most).astype(int)]
    return Library(np.stack(chosen) if chosen else np.zeros((0, 0), np.float32))


def read_libraries(bundle: Path) -> dict[int, Library]:
    """The scores of a bundle by the step of its series."""
    from safetensors.numpy import load_file

    return {int(name): Library(scores) for name, scores in load_file(bundle / PEAKS).items()}


def peak(forecast: Floats, noise: Noise, library: Library, widen: float = 1.0, seed: int = 0) -> Floats:
    """The largest value [PATHS] of `forecast` [n] on each simulated path; `widen` multiplies the scores.

    Raises ValueError where the library is empty.
    """
    if not len(library.scores):
        raise ValueError("no origin could show how peaks fall")
    random = np.random.default_rng(seed)
    length = library.scores.shape[1]
    highest = np.zeros(PATHS)
    spread = noise.spread(forecast)
    log = np.log(forecast + noise.smooth)
    for start in range(0, len(forecast), length):
        part = slice(start, min(start + length, len(forecast)))
        rows, first = random.integers(0, len(library.scores), PATHS), random.integers(0, TOGETHER, PATHS)
        places = (first[:, None] * (length // TOGETHER) + np.arange(part.stop - part.start)) % length
        drawn = library.scores[rows[:, None], places]
        reached = (log[part] + widen * drawn * spread[part]).max(axis=1)
        highest = np.maximum(highest, np.exp(reached) - noise.smooth)
    return highest
