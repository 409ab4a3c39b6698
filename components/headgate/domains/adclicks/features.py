"""The feature vector of a click: the state of its user and its IP *before* it, the local hour, and login.

The vector holds plain counts and ratios. What a model does with them (logarithm, scaling) is part of the model, so an
online store answers the same vector to the last digit. See `windows` for what the counters mean.
"""

import ipaddress
import math
from typing import TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from headgate.domains.adclicks.windows import (
    DAY,
    HOUR,
    WINDOWS,
    Ints,
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

FEATURES: tuple[str, ...] = (
    *(f"user_clicks_{w.name}" for w in WINDOWS),
    *(f"user_velocity_{w.name}" for w in WINDOWS),  # clicks per second
    "user_gap_s",
    "user_ips_1d",
    *(f"ip_clicks_{w.name}" for w in WINDOWS),
    *(f"ip_{members}_{w.name}" for members in ("sessions", "users") for w in (HOUR, DAY)),
    "hour_sin",
    "hour_cos",
    "weekday_sin",
    "weekday_cos",
    "logged_in",
)

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


def ip_key(ip: str) -> str:
    """The entity an address counts for: IPv4 as it is, IPv6 by its /64, anything else as an opaque token."""
    if ":" not in ip:
        return ip
    try:
        address = ipaddress.IPv6Address(ip)
    except ValueError:
        return ip
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(ipaddress.IPv6Address(int(address) >> 64 << 64)) + "/64"


Clicks = TypeVar("Clicks", pl.DataFrame, pl.LazyFrame)


def in_order_of_arrival(clicks: Clicks) -> Clicks:
    """Sort `clicks` as they count, by arrival and then by id, each once: of a repeated id, its first to arrive."""
    ordered = clicks.sort("received_at", "click_id", maintain_order=True)
    return ordered.unique("click_id", keep="first", maintain_order=True)


def features(clicks: pl.DataFrame, since: int = 0) -> NDArray[np.float32]:
    """The vectors [n − since, len(FEATURES)] of `clicks`, which stand in order of arrival (`in_order_of_arrival`).

    The first `since` clicks are history: they are counted, and have no vector.
    """
    event = clicks["event_time"].dt.epoch("us").to_numpy()
    received = clicks["received_at"].dt.epoch("us").to_numpy()
    user, session = _codes(clicks["user_id"]), _codes(clicks["session_id"])
    ip = _codes(_ip_keys(clicks["ip"]))
    out = np.empty((len(clicks) - since, len(FEATURES)), dtype=np.float32)

    def put(name: str, values: NDArray) -> None:
        out[:, FEATURES.index(name)] = values[since:]

    line = timeline(user, event, received)
    for window in WINDOWS:
        start = window_start(line, window)
        put(f"user_clicks_{window.name}", line.restore(counts(start)))
        put(f"user_velocity_{window.name}", line.restore(velocity(line, window, start)))
        if window is DAY:
            put("user_ips_1d", line.restore(distinct(start, following(line, ip[line.order]))))
    put("user_gap_s", line.restore(gap(line)))

    line = timeline(ip, event, received)
    next_of_session, next_of_user = following(line, session[line.order]), following(line, user[line.order])
    for window in WINDOWS:
        start = window_start(line, window)
        put(f"ip_clicks_{window.name}", line.restore(counts(start)))
        if window in (HOUR, DAY):
            put(f"ip_sessions_{window.name}", line.restore(distinct(start, next_of_session)))
            put(f"ip_users_{window.name}", line.restore(distinct(start, next_of_user)))

    minute = local_minute(event, clicks["utc_offset_min"].cast(pl.Int64).to_numpy())[since:]
    out[:, [FEATURES.index("hour_sin"), FEATURES.index("hour_cos")]] = MINUTE_OF_DAY[minute % 1440]
    out[:, [FEATURES.index("weekday_sin"), FEATURES.index("weekday_cos")]] = WEEKDAY[minute // 1440 % 7]
    put("logged_in", clicks["logged_in"].to_numpy())
    return out


def _codes(values: pl.Series) -> Ints:
    """Codes [n] from 0 for the distinct values of a column, in no particular order."""
    return values.cast(pl.Enum(values.unique())).to_physical().cast(pl.Int64).to_numpy()


def _ip_keys(ips: pl.Series) -> pl.Series:
    """`ip_key` of a column, worked out once for each distinct IPv6 address."""
    v6 = ips.filter(ips.str.contains(":", literal=True)).unique()
    if not len(v6):
        return ips
    keys = pl.Series([ip_key(ip) for ip in v6], dtype=pl.String)
    return ips.replace_strict(v6, keys, default=ips)
