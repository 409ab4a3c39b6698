"""The feature vector of a click: the state of its user and its IP *before* it, the local hour, and login.

The vector holds plain counts and ratios. What a model does with them (logarithm, scaling) is part of the model, so an
online store answers the same vector to the last digit. See `windows` for what the counters mean.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from headgate.domains.adclicks.features.addresses import ip_keys
from headgate.domains.adclicks.features.windows import (
    DAY,
    HOUR,
    WINDOWS,
    Ints,
    Timeline,
    counts,
    distinct,
    following,
    gap,
    timeline,
    velocity,
    window_start,
)

#: A bundle made for another version of the counters must not be served from these.
COUNTER_SCHEMA = 1

#: What a click's user tells of it, what its IP does, and what it tells by itself.
USER_FEATURES: tuple[str, ...] = (
    *(f"user_clicks_{w.name}" for w in WINDOWS),
    *(f"user_velocity_{w.name}" for w in WINDOWS),  # clicks per second
    "user_gap_s",
    "user_ips_1d",
)
IP_FEATURES: tuple[str, ...] = (
    *(f"ip_clicks_{w.name}" for w in WINDOWS),
    *(f"ip_{members}_{w.name}" for members in ("sessions", "users") for w in (HOUR, DAY)),
)
OWN_FEATURES: tuple[str, ...] = ("hour_sin", "hour_cos", "weekday_sin", "weekday_cos", "logged_in")

FEATURES: tuple[str, ...] = (*USER_FEATURES, *IP_FEATURES, *OWN_FEATURES)

#: What a click must have for its features.
COLUMNS = ("click_id", "event_time", "utc_offset_min", "received_at", "user_id", "session_id", "ip", "logged_in")


def _circle(steps: int) -> NDArray[np.float32]:
    """Sine and cosine [steps, 2] of equal steps around the circle, tabulated: batch and online read the same digits."""
    angles = [2 * math.pi * step / steps for step in range(steps)]
    return np.array([(math.sin(a), math.cos(a)) for a in angles], dtype=np.float32)


MINUTE_OF_DAY = _circle(1440)
WEEKDAY = _circle(7)


Minutes = TypeVar("Minutes", int, Ints)


def local_minute(event_us: Minutes, offset_min: Minutes) -> Minutes:
    """Minutes since Monday 00:00 of week zero, on the clicker's clock; ``% 10_080`` is the minute of the week."""
    return event_us // 60_000_000 + offset_min + 3 * 1440  # 1970-01-01 was a Thursday


Clicks = TypeVar("Clicks", pl.DataFrame, pl.LazyFrame)


def in_order_of_arrival(clicks: Clicks) -> Clicks:
    """Sort `clicks` as they count, by arrival and then by id, each once: of a repeated id, its first to arrive."""
    ordered = clicks.sort("received_at", "click_id", maintain_order=True)
    return ordered.unique("click_id", keep="first", maintain_order=True)


def features(clicks: pl.DataFrame, since: int = 0) -> NDArray[np.float32]:
    """The vectors [n − since, len(FEATURES)] of `clicks`, which stand in order of arrival (`in_order_of_arrival`).

    The first `since` clicks are history: they are counted, and have no vector.
    """
    arrived, first, last = arrivals(clicks), len(USER_FEATURES), len(FEATURES) - len(OWN_FEATURES)
    out = np.empty((len(clicks) - since, len(FEATURES)), dtype=np.float32)
    out[:, :first] = user_part(arrived, since)
    out[:, first:last] = ip_part(arrived, since)
    out[:, last:] = own_part(clicks[since:])
    return out


@dataclass(frozen=True)
class Arrivals:
    """n clicks in order of arrival, as the kernel takes them: instants in microseconds, entities as codes from 0."""

    event: Ints
    received: Ints
    user: Ints
    session: Ints
    ip: Ints


def arrivals(clicks: pl.DataFrame) -> Arrivals:
    """`clicks`, which stand in order of arrival, as arrays."""
    return Arrivals(
        event=clicks["event_time"].dt.epoch("us").to_numpy(),
        received=clicks["received_at"].dt.epoch("us").to_numpy(),
        user=_codes(clicks["user_id"]),
        session=_codes(clicks["session_id"]),
        ip=_codes(ip_keys(clicks["ip"])),
    )


def user_part(clicks: Arrivals, since: int = 0) -> NDArray[np.float32]:
    """USER_FEATURES [n − since, …]; right as soon as all clicks of each user are there, whatever others are not."""
    line = timeline(clicks.user, clicks.event, clicks.received)
    values: dict[str, NDArray] = {"user_gap_s": gap(line)}
    for window in WINDOWS:
        start = window_start(line, window)
        values[f"user_clicks_{window.name}"] = counts(start)
        values[f"user_velocity_{window.name}"] = velocity(line, window, start)
        if window is DAY:
            values["user_ips_1d"] = distinct(start, following(line, clicks.ip[line.order]))
    return _columns(line, values, USER_FEATURES, since)


def ip_part(clicks: Arrivals, since: int = 0) -> NDArray[np.float32]:
    """IP_FEATURES [n − since, …]; right as soon as all clicks of each IP key are there, whatever others are not."""
    line = timeline(clicks.ip, clicks.event, clicks.received)
    next_of_session = following(line, clicks.session[line.order])
    next_of_user = following(line, clicks.user[line.order])
    values: dict[str, NDArray] = {}
    for window in WINDOWS:
        start = window_start(line, window)
        values[f"ip_clicks_{window.name}"] = counts(start)
        if window in (HOUR, DAY):
            values[f"ip_sessions_{window.name}"] = distinct(start, next_of_session)
            values[f"ip_users_{window.name}"] = distinct(start, next_of_user)
    return _columns(line, values, IP_FEATURES, since)


def own_part(clicks: pl.DataFrame) -> NDArray[np.float32]:
    """OWN_FEATURES [n, …] of `clicks`, in whatever order they stand."""
    offset = clicks["utc_offset_min"].cast(pl.Int64).to_numpy()
    minute = local_minute(clicks["event_time"].dt.epoch("us").to_numpy(), offset)
    logged_in = clicks["logged_in"].to_numpy()
    return np.column_stack([MINUTE_OF_DAY[minute % 1440], WEEKDAY[minute // 1440 % 7], logged_in]).astype(np.float32)


def _columns(line: Timeline, values: Mapping[str, NDArray], names: Sequence[str], since: int) -> NDArray[np.float32]:
    """`values` [n] in timeline order as columns [n − since, len(names)], the rows in order of arrival."""
    out = np.empty((len(line.order) - since, len(names)), dtype=np.float32, order="F")
    for column, name in enumerate(names):
        out[:, column] = line.restore(values[name])[since:]
    return out


def _codes(values: pl.Series) -> Ints:
    """Codes [n] from 0 for the distinct values of a column, in no particular order."""
    return values.cast(pl.Enum(values.unique())).to_physical().cast(pl.Int64).to_numpy()
