"""Game days as they would be found, for what reads them."""

from datetime import UTC, datetime, timedelta
from typing import Any

from headgate.domains.capacity.gameday.report import GameDay, Rehearsal, Tried, Window

NOON = datetime(2026, 2, 20, 12, tzinfo=UTC)


def made(**told: Any) -> GameDay:
    """One that found the limit of a c7; `told` says what is otherwise."""
    usual: dict[str, Any] = {
        "event": "sale-2026",
        "series": "eu/s0/requests",
        "step": 60,
        "target": "http://127.0.0.1:8000",
        "type": "c7",
        "started": NOON,
        "ended": NOON + timedelta(minutes=5),
        "objective": "p99 ≤ 50 ms",
        "milliseconds": 50.0,
        "rate": 1450.0,
        "low": 1400.0,
        "high": 1500.0,
        "limited": "target",
        "stopped": False,
        "failed": "",
        "units": 87_000.0,
        "each": 1.0,
        "steps": [],
        "rehearsal": None,
        "masks": [],
    }
    return GameDay(**usual | told)


def tried(rate: float, latency: float | None = 20.0, why: str = "") -> Tried:
    """A step."""
    return Tried(rate, 1000, latency, 0.0, 0.0, 0.1, why)


def rehearsed(broke: str) -> Rehearsal:
    """A rehearsal in as many windows as `broke` has letters: those of an x broke, those of a ? were not answered."""
    windows = [
        Window(
            f"2026-02-20T{hour:02}:00Z",
            900.0,
            None if c == "?" else 70.0 if c == "x" else 20.0,
            "" if c == "-" else "latency",
        )
        for hour, c in enumerate(broke)
    ]
    return Rehearsal("2026-02-20T00:00Z", "2026-02-21T00:00Z", 0.95, 0.65, 942.5, 3e6, 7, "c", windows, None)
