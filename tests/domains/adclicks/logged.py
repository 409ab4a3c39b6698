"""Logged clicks that nobody served, for tests that read a log of them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl

from headgate.decisions.reading import schema
from headgate.domains.adclicks.features.click import micros
from headgate.domains.adclicks.features.kernel import FEATURES
from headgate.domains.adclicks.serving.log_rows import LOG, LoggedClick
from headgate.settings import Settings

from ...decisions.made import write_part

START = datetime(2026, 1, 5, tzinfo=UTC)
NOON = START + timedelta(hours=12)
SLICES = ("mobile/in", "mobile/out", "desktop")


def row(decision_id: str, at: datetime = NOON, **told: Any) -> LoggedClick:
    """A row that is complete, and as `told`."""
    base: dict[str, Any] = {
        "decision_id": decision_id,
        "decided_at": micros(at),
        "version": 1,
        "bundle": "b" * 64,
        "companions": "",
        "role": "champion",
        "slice": "mobile/in/direct",
        "outcome": "valid",
        "click_id": f"click {decision_id}",
        "event_time": micros(at),
        "utc_offset_min": 60,
        "received_at": micros(at),
        "user_id": "u",
        "session_id": "s",
        "ip": "192.0.2.1",
        "device": "mobile",
        "logged_in": True,
        "campaign": "spring",
        "rfm": None,
        "features": np.arange(len(FEATURES), dtype=np.float32).tobytes(),
        "score": 0.25,
        "threshold": 0.5,
        "complete": True,
        "advertiser": None,
    }
    return LoggedClick(**(base | told))


def make_log(
    settings: Settings,
    n: int,
    *,
    seed: int = 0,
    start: datetime = START,
    span: timedelta = timedelta(hours=12),
    part: int = 10_000,
    version: int = 1,
    bundle: str = "b" * 64,
    invalid: float = 0.2,
) -> list[str]:
    """Write a folded log of `n` clicks that were decided evenly over `span`; the ids of its parts, oldest first.

    A share `invalid` is that, at random and whatever the vector; a fifth of the accounts have an `rfm` of 12 … 15,
    two fifths a lower one, the others none. Vectors are small whole counts. Each part is at most `part` rows.
    """
    parts = []
    for number, first in enumerate(range(0, n, part)):
        rows = make_rows(
            min(part, n - first),
            first=first,
            seed=seed,
            start=start + span * first / n,
            every=span / n,
            version=version,
            bundle=bundle,
            invalid=invalid,
        )
        parts.append(write_part(settings, rows, LOG, worker=f"made-1-{number:010x}"))
    return parts


def make_rows(
    n: int,
    *,
    first: int = 0,
    seed: int = 0,
    start: datetime = START,
    every: timedelta = timedelta(seconds=1),
    version: int = 1,
    bundle: str = "b" * 64,
    invalid: float = 0.2,
) -> pl.DataFrame:
    """`n` logged clicks as `parts` answers them, numbered from `first` on."""
    random = np.random.default_rng((seed, first))
    numbers = np.arange(first, first + n)
    at = pl.Series(np.arange(n) * int(every / timedelta(microseconds=1))).cast(pl.Duration("us")) + start
    chosen = random.random(n) < invalid
    account = random.random(n)
    rfm = np.where(account < 0.2, random.integers(12, 16, n), random.integers(3, 12, n))
    return pl.DataFrame(
        {
            "decision_id": [f"{start:%Y%m%d}-made000000-{number:x}" for number in numbers],
            "decided_at": at,
            "version": [version] * n,
            "bundle": [bundle] * n,
            "companions": [""] * n,
            "role": ["champion"] * n,
            "slice": random.choice(SLICES, n),
            "outcome": np.where(chosen, "invalid", "valid"),
            "click_id": [f"c{number}" for number in numbers],
            "event_time": at,
            "utc_offset_min": [0] * n,
            "received_at": at,
            "user_id": [f"u{number}" for number in random.integers(0, 1 + n // 10, n)],
            "session_id": [f"s{number}" for number in random.integers(0, 1 + n // 5, n)],
            "ip": [f"192.0.2.{number}" for number in random.integers(0, 255, n)],
            "device": random.choice(["mobile", "desktop", "tablet", "other"], n),
            "logged_in": random.random(n) < 0.5,
            "campaign": [""] * n,
            "rfm": pl.Series([None if a >= 0.6 else int(r) for a, r in zip(account, rfm, strict=True)], dtype=pl.Int8),
            "features": pl.Series(random.integers(0, 9, (n, len(FEATURES))).astype(np.float32)),
            "score": np.where(chosen, 0.9, 0.1).astype(np.float32),
            "threshold": np.full(n, 0.5, np.float32),
            "complete": True,
            "advertiser": None,
        }
    ).cast(schema(LOG))
