"""The local clock of a zone, for arrays of instants: series are stored in UTC and fitted on people's own clock."""

from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

DAY = 86_400

#: Offsets from UTC change at multiples of this many seconds, everywhere and always.
_QUARTER = 900

#: 1970-01-01 was a Thursday.
_THURSDAY = 3


@dataclass(frozen=True)
class Clock:
    """What a local clock and calendar show at n instants."""

    clock: NDArray[np.float64]  # [n] time of day as a share of 24 hours, in [0, 1)
    day: NDArray[np.int64]  # [n] local date, in days since 1970-01-01
    weekday: NDArray[np.int64]  # [n] 0 is Monday


def offsets(times: NDArray[np.int64], zone: str) -> NDArray[np.int64]:
    """Local time minus UTC in seconds [n] at epoch seconds `times` [n]."""
    quarters, where = np.unique(times // _QUARTER, return_inverse=True)
    place = ZoneInfo(zone)
    found = [_offset(int(quarter) * _QUARTER, place) for quarter in quarters]
    return np.array(found, dtype=np.int64)[where]


def local(times: NDArray[np.int64], zone: str) -> Clock:
    """The local clock at epoch seconds `times` [n]. A day may have 23 or 25 hours; no minute is made up or lost."""
    shown = times + offsets(times, zone)
    day = shown // DAY
    return Clock((shown - day * DAY) / DAY, day, weekday(day))


def local_days(times: NDArray[np.int64], zone: str, step: int = 60) -> NDArray[np.int64]:
    """The local date (days since 1970) of each of `times`. Steps of a day or a week are those of UTC."""
    return times // DAY if step >= DAY else local(times, zone).day


def weekday(day: NDArray[np.int64]) -> NDArray[np.int64]:
    """The weekday [n] of days since 1970 [n]; 0 is Monday."""
    return (day + _THURSDAY) % 7


def year_position(day: NDArray[np.int64]) -> NDArray[np.float64]:
    """Where days since 1970 [n] lie in their year, in [0, 1); 29 February shares its place with 1 March."""
    dates = day.astype("datetime64[D]")
    year = dates.astype("datetime64[Y]")
    passed = (dates - year).astype(np.int64)
    leap = ((year + 1).astype("datetime64[D]") - year.astype("datetime64[D]")).astype(np.int64) == 366
    return np.asarray((passed - (leap & (passed >= 60))) / 365)


def _offset(instant: int, zone: ZoneInfo) -> int:
    found = datetime.fromtimestamp(instant, UTC).astimezone(zone).utcoffset()
    assert found is not None  # a ZoneInfo always knows
    return int(found.total_seconds())
