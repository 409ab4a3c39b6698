"""What follows a click in the simulated world: its journey to us, its purchase, its refund; and all of it as text."""

from binascii import hexlify

import numpy as np
import polars as pl
import pyarrow as pa  # type: ignore[import-untyped]

from headgate.domains.adclicks.data.schema import DEVICES, UTC
from headgate.domains.adclicks.simulated.world import CAMPAIGNS, DAY, HOUR, I64, KINDS, MINUTE, U64

#: What share of the purchases that will ever come is known how many minutes after the click. Three figures are those of
#: TalkingData's real clicks (53 % after one hour, 60 % after six, all but a few after 24); the rest interpolates them.
_KNOWN_AFTER = np.array([0.3, 2, 10, 30, 60, 180, 360, 720, 1080, 1380, 2880])
_KNOWN_SHARE = np.array([0.0, 0.08, 0.27, 0.43, 0.53, 0.57, 0.60, 0.80, 0.93, 0.993, 1.0])

_HUMAN_REFUNDS, _BUYER_REFUNDS = 0.025, 0.9


def journey(rng: np.random.Generator, n: int) -> I64:
    """Draw how long n clicks take to reach us, in milliseconds: a network's delay, and minutes for one in 250."""
    delay = rng.lognormal(np.log(140), 0.9, n)
    stuck = rng.random(n) < 0.004
    return np.rint(np.where(stuck, rng.uniform(1, 12, n) * MINUTE, delay)).astype(np.int64) + 1


def purchases(rng: np.random.Generator, clicks: pl.DataFrame) -> pl.DataFrame:
    """Draw the purchases that follow from `clicks` (TRAFFIC, with received and number), and when we learn of them.

    Columns: received and number (the click's), at (the click's), purchased, known, amount, refunded: when a refund
    becomes known, or null. Times are in milliseconds.
    """
    bought = clicks.filter(pl.Series(rng.random(len(clicks)) < clicks["buys"].to_numpy()))
    n = len(bought)
    at, received = bought["at"].to_numpy(), bought["received"].to_numpy()
    delay = np.exp(np.interp(rng.random(n), _KNOWN_SHARE, np.log(_KNOWN_AFTER))) * MINUTE
    purchased = at + (delay * rng.uniform(0.5, 0.98, n)).astype(np.int64)
    known = np.maximum(at + delay.astype(np.int64), received + 1)  # a click that is not here yet has no purchase

    robotic = bought["kind"].to_numpy() == KINDS.index("buyer")
    patience = np.where(robotic, rng.uniform(8 * HOUR, 2 * DAY, n), rng.uniform(DAY / 2, 10 * DAY, n))
    refunds = rng.random(n) < np.where(robotic, _BUYER_REFUNDS, _HUMAN_REFUNDS)
    return bought.select(
        "received",
        "number",
        "at",
        purchased=pl.Series(purchased),
        known=pl.Series(known),
        amount=pl.Series(np.round(rng.lognormal(np.log(32), 0.8, n), 2)),
        refunded=pl.when(pl.Series(refunds)).then(pl.Series(known + patience.astype(np.int64))),
    )


# -- text --------------------------------------------------------------------------------------------------------------


def click_rows(clicks: pl.DataFrame) -> pl.DataFrame:
    """Write simulated clicks (TRAFFIC, with received and number) in the raw schema CLICKS."""
    return clicks.select(
        click_id(clicks),
        _instant("at").alias("event_time"),
        pl.col("offset").alias("utc_offset_min"),
        _instant("received").alias("received_at"),
        _hex(clicks["user"].to_numpy()).alias("user_id"),
        _hex(clicks["session"].to_numpy()).alias("session_id"),
        _addresses(clicks).alias("ip"),
        pl.Series("device", DEVICES).gather(clicks["device"]),
        "logged_in",
        pl.Series("campaign", [f"c{number:03d}" for number in range(CAMPAIGNS)]).gather(clicks["campaign"]),
        "rfm",
    )


def truth_rows(clicks: pl.DataFrame) -> pl.DataFrame:
    """Write the hidden truth of simulated clicks: click_id, is_robot, kind."""
    return clicks.select(click_id(clicks), is_robot=pl.col("kind") != 0, kind=pl.Series(KINDS).gather(clicks["kind"]))


def purchase_rows(bought: pl.DataFrame) -> pl.DataFrame:
    """Write simulated purchases in the raw schema PURCHASES."""
    return bought.select(
        ("p" + click_id(bought)).alias("purchase_id"),
        click_id(bought),
        _instant("purchased").alias("purchased_at"),
        _instant("known").alias("known_at"),
        "amount",
    )


def refund_rows(bought: pl.DataFrame) -> pl.DataFrame:
    """Write the refunds of simulated purchases in the raw schema REFUNDS."""
    return bought.select(
        ("r" + click_id(bought)).alias("refund_id"),
        ("p" + click_id(bought)).alias("purchase_id"),
        _instant("refunded").alias("known_at"),
        "amount",
    )


def click_id(rows: pl.DataFrame) -> pl.Series:
    """Name clicks by the millisecond of arrival (11 hex digits) and their number (7): unique, sorted as they arrive."""
    digits = np.hstack([_digits(rows["received"].to_numpy(), 11), _digits(rows["number"].to_numpy(), 7)])
    return _text(digits).alias("click_id")


def _addresses(clicks: pl.DataFrame) -> pl.Series:
    """Write `net` as IPv4, or as an IPv6 address in full whose lower half is the session's own (RFC 8981)."""
    v6 = clicks.select(pl.col("net") >= 2**32).to_series()
    octets = [(pl.col("net") // 256**place % 256).cast(pl.String) for place in (3, 2, 1, 0)]
    old = clicks.filter(~v6).select(pl.concat_str(octets, separator="."))
    new = clicks.filter(v6)
    nibbles = np.hstack([_digits(new["net"].to_numpy(), 16), _digits(new["session"].to_numpy(), 16)])
    groups = np.full((len(new), 8, 5), ord(":"), np.uint8)
    groups[:, :, :4] = nibbles.reshape(-1, 8, 4)
    both = pl.concat([old.to_series(), _text(groups.reshape(-1, 40)[:, :39])])
    order = np.empty(len(clicks), np.int64)
    order[np.concatenate([np.flatnonzero(~v6.to_numpy()), np.flatnonzero(v6.to_numpy())])] = np.arange(len(clicks))
    return both.gather(order)


def _instant(milliseconds: str) -> pl.Expr:
    return (pl.col(milliseconds) * 1000).cast(UTC)


def _hex(numbers: U64) -> pl.Series:
    return _text(_digits(numbers, 16))


def _digits(numbers: U64 | I64, width: int) -> "np.ndarray[tuple[int, int], np.dtype[np.uint8]]":
    """Write numbers (n,) as the last `width` hexadecimal digits each: ASCII codes (n, width)."""
    text = hexlify(numbers.astype(">u8").tobytes())
    return np.frombuffer(text, np.uint8).reshape(-1, 16)[:, 16 - width :]


def _text(codes: "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]") -> pl.Series:
    """Turn ASCII codes (n, width) into n strings, without a Python object for each."""
    n, width = codes.shape
    ends = np.arange(0, (n + 1) * width, width, dtype=np.int64)
    text = pa.LargeStringArray.from_buffers(n, pa.py_buffer(ends), pa.py_buffer(np.ascontiguousarray(codes)))
    series = pl.from_arrow(text)
    assert isinstance(series, pl.Series)
    return series
