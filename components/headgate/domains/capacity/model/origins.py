"""A forecast made at an earlier instant, beside what came."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from headgate.domains.capacity.companions.calendar import Event
from headgate.domains.capacity.data.raw import Series

Role = Literal["tune", "certify", "test"]


@dataclass(frozen=True)
class Origin:
    """An instant to forecast at, and how far."""

    role: Role
    instant: int  # epoch seconds
    ahead: int  # periods


@dataclass(frozen=True)
class OriginForecast:
    """A forecast at an origin beside what came."""

    origin: Origin
    series: tuple[Series, ...]
    times: NDArray[np.int64]  # [n]
    forecast: NDArray[np.float64]  # [n, S]
    actual: NDArray[np.float32]  # [n, S] NaN where missing or masked
    events: tuple[Event, ...]  # as known at the origin
