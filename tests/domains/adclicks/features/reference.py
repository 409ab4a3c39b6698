"""What the features mean, click by click in the plainest Python, and the logs that the tests hold them to."""

import math
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import Any

import numpy as np
import polars as pl
from hypothesis import strategies as st

from headgate.domains.adclicks.data.schema import CLICKS

from ....shared import TALKINGDATA

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
HOUR, DAY = 3600, 86_400
BUCKETS = {60: 12, 600: 10, HOUR: 12, DAY: 24}  # seconds of a window: its buckets
LATENESS = timedelta(hours=1)

Click = dict[str, Any]


def reference(clicks: pl.DataFrame, cap: int = 256) -> np.ndarray:
    """The vectors [n, 23] of `clicks`, each repeated id left out, in order of arrival."""
    users: dict[str, list[tuple[int, Click]]] = defaultdict(list)
    ips: dict[str, list[tuple[int, Click]]] = defaultdict(list)
    ids: set[str] = set()
    vectors = []
    for click in sorted(clicks.to_dicts(), key=lambda click: (click["received_at"], click["click_id"])):
        if click["click_id"] in ids:
            continue
        ids.add(click["click_id"])
        click["ip"] = network(click["ip"])
        of_user, of_ip = users[click["user_id"]], ips[click["ip"]]
        now_user, now_ip = effective(click, of_user), effective(click, of_ip)
        in_user = {seconds: held(of_user, now_user, seconds) for seconds in BUCKETS}
        in_ip = {seconds: held(of_ip, now_ip, seconds) for seconds in BUCKETS}
        local = click["event_time"] + timedelta(minutes=click["utc_offset_min"])
        vectors.append(
            [
                *(len(clicks) for clicks in in_user.values()),
                *(velocity(clicks, now_user, seconds) for seconds, clicks in in_user.items()),
                min((now_user - of_user[-1][0]) / 1_000_000, DAY) if of_user else DAY,
                distinct(in_user[DAY], "ip", cap),
                *(len(clicks) for clicks in in_ip.values()),
                *(distinct(in_ip[seconds], "session_id", cap) for seconds in (HOUR, DAY)),
                *(distinct(in_ip[seconds], "user_id", cap) for seconds in (HOUR, DAY)),
                *on_circle(local.hour * 60 + local.minute, 1440),
                *on_circle(local.weekday(), 7),
                click["logged_in"],
            ]
        )
        of_user.append((now_user, click))
        of_ip.append((now_ip, click))
    return np.array(vectors, dtype=np.float32).reshape(-1, 23)


def effective(click: Click, earlier: list[tuple[int, Click]]) -> int:
    """When a click counts, in microseconds: at most an hour late, never before its entity's latest."""
    instant: datetime = min(max(click["event_time"], click["received_at"] - LATENESS), click["received_at"])
    micros = (instant - EPOCH) // timedelta(microseconds=1)
    return max(micros, earlier[-1][0]) if earlier else micros


def held(earlier: list[tuple[int, Click]], now: int, seconds: int) -> list[tuple[int, Click]]:
    """The earlier clicks in the bucket of `now` and in those before it that the window still reaches, newest first."""
    width = seconds * 1_000_000 // BUCKETS[seconds]
    inside = []
    for time, click in reversed(earlier):
        if time // width <= now // width - BUCKETS[seconds]:
            break
        inside.append((time, click))
    return inside


def velocity(clicks: list[tuple[int, Click]], now: int, seconds: int) -> float:
    """Clicks per second over the buckets from the oldest that holds one to that of `now`."""
    if not clicks:
        return 0.0
    width = seconds // BUCKETS[seconds]
    oldest = min(time for time, _ in clicks) // (width * 1_000_000)
    return len(clicks) / ((now // (width * 1_000_000) - oldest + 1) * width)


def distinct(clicks: list[tuple[int, Click]], member: str, cap: int) -> int:
    """How many different values of `member` the clicks have, up to the cap."""
    return min(len({click[member] for _, click in clicks}), cap)


def on_circle(step: int, steps: int) -> tuple[float, float]:
    """Sine and cosine of a step around the circle."""
    angle = 2 * math.pi * step / steps
    return math.sin(angle), math.cos(angle)


def network(ip: str) -> str:
    """Whom an address stands for: itself, for IPv6 the first half, written as eight groups."""
    try:
        address = ip_address(ip)
    except ValueError:
        return ip
    if address.version == 4:
        return ip
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return address.exploded[:19]


def frame(rows: list[Click]) -> pl.DataFrame:
    """A log of the given clicks, in whatever order; what a row leaves out is the same for all."""
    common = {"user_id": "u", "session_id": "s", "ip": "10.0.0.1", "utc_offset_min": 0, "logged_in": False}
    names = ("click_id", "event_time", "received_at", *common)
    full = [[(common | row)[name] for name in names] for row in rows]
    return pl.DataFrame(full, schema={name: CLICKS[name] for name in names}, orient="row")


def at(seconds: float) -> datetime:
    """An instant counted from a Thursday midnight in UTC, where buckets of every width begin."""
    return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)


# Steps and delays that fall on, just before and just after the edges of buckets and windows, of lateness and history.
_EDGES = [0, 1, 5, 60, 300, 600, 3600, 7200, 23 * HOUR, DAY, 25 * HOUR]
_NEAR = st.sampled_from([-1, 0, 0, 0, 1])  # microseconds
_IPS = ["10.0.0.1", "10.0.0.2", "2001:db8::1", "2001:DB8:0:0::2", "2001:db8:0:1::1", "::ffff:10.0.0.1", "x", "a:b"]


@st.composite
def logs(draw: st.DrawFn, size: int = 30) -> pl.DataFrame:
    """Small logs in which everything that can happen to a clock, an id or a bucket happens often."""
    rows, arrival = [], timedelta(0)
    for _ in range(draw(st.integers(0, size))):
        step = timedelta(seconds=draw(st.sampled_from(_EDGES[:-3] * 3 + _EDGES)), microseconds=draw(_NEAR))
        arrival += max(step, timedelta(0))
        delay = draw(st.sampled_from([0, 0, 0, 2.5, 600, 3600, 4000, DAY, -1, -600, -DAY]))
        rows.append(
            {
                "click_id": str(draw(st.integers(0, 4 * size))),
                "received_at": at(0) + arrival,
                "event_time": at(0) + arrival - timedelta(seconds=delay, microseconds=draw(_NEAR)),
                "utc_offset_min": draw(st.sampled_from([-720, -210, 0, 345, 840])),
                "user_id": draw(st.sampled_from("abc")),
                "session_id": draw(st.sampled_from("stuvwxyz")),
                "ip": draw(st.sampled_from(_IPS)),
                "logged_in": draw(st.booleans()),
            }
        )
    return frame(draw(st.permutations(rows)))


def real_clicks(n: int | None = None) -> pl.DataFrame:
    """The first `n` real clicks, all of them unless told; for tests that need `TALKINGDATA`."""
    user = pl.concat_str("ip", "device", "os", separator="-")
    time = pl.col("click_time").str.to_datetime(time_unit="us", time_zone="UTC")
    return (
        pl.read_csv(TALKINGDATA, n_rows=n, schema_overrides={"ip": pl.String})
        .with_row_index("row")
        .select(
            click_id=pl.col("row").cast(pl.String).str.zfill(9),
            event_time=time,
            utc_offset_min=pl.lit(480, pl.Int16),
            received_at=time,
            user_id=user,
            session_id=user,
            ip="ip",
            logged_in=False,
        )
    )
