"""When requests are due: Poisson arrivals whose rate follows a shape."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from headgate.errors import UsageError

SHAPES = {
    "flat": "the rate all the time",
    "peak": "a smooth hump, as a day is: from a third of the rate up to it at half time, and back",
    "spike": "a third of the rate, and all of it from 40 % to 60 % of the time, reached within a second",
}

#: Steps in which the rate is integrated.
_STEPS = 10_000

#: Most requests of one run: each takes 23 bytes here, and its click about a microsecond to draw.
MOST = 20_000_000


@dataclass(frozen=True)
class Path:
    """A shape of one's own: shares of the rate, from 0 to 1, evenly over the time, and straight lines between them."""

    name: str
    shares: tuple[float, ...]

    def __post_init__(self) -> None:
        """Refuse what is no shape."""
        if len(self.shares) < 2 or min(self.shares) < 0 or max(self.shares) != 1:
            raise ValueError("a path has two shares or more, none below 0, and its highest is 1")

    def __str__(self) -> str:
        """What reports call it."""
        return self.name


@dataclass(frozen=True)
class Schedule:
    """Requests a second that are asked for, and for how long.

    Clicks of many people who know nothing of each other arrive as a Poisson process. Evenly spaced requests would never
    queue behind each other, and so show a tail that is better than what real traffic will see.
    """

    rate: float  # requests a second; the highest of the shape
    seconds: float
    shape: str | Path = "flat"

    def __post_init__(self) -> None:
        """Refuse what no run can be."""
        if not isinstance(self.shape, Path) and self.shape not in SHAPES:
            known = "\n".join(f"  {name:<6} {what}" for name, what in SHAPES.items())
            raise UsageError(f"There is no shape {self.shape!r}. Choose one of:\n{known}")
        if not (self.rate > 0 and self.seconds > 0):
            raise UsageError("A load needs a rate and a time above zero.")
        if self.rate * self.seconds > MOST:
            raise UsageError(f"That would be more than {MOST:,} requests: lower the rate or the time.")

    def at(self, time: NDArray[np.float64]) -> NDArray[np.float64]:
        """The rate [n], in requests a second, at `time` [n] in seconds from the start."""
        part = time / self.seconds
        if isinstance(self.shape, Path):
            own = np.linspace(0, 1, len(self.shape.shares))
            return np.asarray(self.rate * np.interp(part, own, self.shape.shares))
        share = np.ones_like(part)  # of what is above a third of the rate
        if self.shape == "peak":
            share = np.sin(np.pi * part) ** 2
        if self.shape == "spike":
            ramp = min(1.0, self.seconds / 20)
            rise, fall = (time - 0.4 * self.seconds) / ramp, (0.6 * self.seconds - time) / ramp
            share = np.clip(np.minimum(rise, fall), 0, 1)
        rate: NDArray[np.float64] = self.rate * (1 + 2 * share) / 3
        return rate

    def due(self, seed: int) -> NDArray[np.float64]:
        """Seconds [n] from the start at which requests are due, ascending; the same for the same seed.

        As many as the shape expects: a Poisson process given its number is so many independent instants, drawn with
        the rate as their density. So the rate that was asked for is met exactly, and only the gaps are random.
        """
        time = np.linspace(0, self.seconds, _STEPS + 1)
        rate = self.at(time)
        expected = np.concatenate([[0.0], np.cumsum((rate[1:] + rate[:-1]) / 2 * np.diff(time))])
        number = max(1, round(expected[-1]))
        drawn = np.sort(np.random.default_rng([seed, 1]).uniform(0, expected[-1], number))
        due: NDArray[np.float64] = np.interp(drawn, expected, time)
        return due
