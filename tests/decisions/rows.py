"""Rows as a serving process logs them, and one that logs until it is killed.

python -m tests.decisions.rows NUMBER
"""

import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from headgate import settings
from headgate.decisions.reading import EPOCH
from headgate.decisions.recorder import Segments

from ..toy import Logged

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)


def micros(at: datetime) -> int:
    """Microseconds since 1970."""
    return (at - EPOCH) // timedelta(microseconds=1)


def told(decision_id: str, at: datetime = NOON, **others: Any) -> dict[str, Any]:
    """What a complete row says, and as in `others`."""
    base: dict[str, Any] = {
        "decision_id": decision_id,
        "decided_at": micros(at),
        "version": 1,
        "bundle": "b" * 64,
        "companions": "c" * 200,  # long, so that a small disk is full soon
        "role": "champion",
        "slice": "hall",
        "outcome": "fine",
        "usual": 20.0,
        "room": "hall",
        "degrees": 20.5,
        "guest": f"guest {decision_id}",
        "comfortable": None,
    }
    return base | others


def row(decision_id: str, at: datetime = NOON, **others: Any) -> Logged:
    """A row that is complete, and as in `others`."""
    return Logged(**told(decision_id, at, **others))


def rows(ids: Sequence[str], **others: Any) -> list[Logged]:
    """A row for each id."""
    return [row(one, **others) for one in ids]


def main(name: str) -> None:
    """Log request after request, and tell each on standard output once it is acknowledged."""
    recorder = Segments(settings.load())
    for number in count():
        ids = [f"{name}-{number}-{n}" for n in range(number % 4 + 1)]
        recorder.record("rooms", rows(ids))
        sys.stdout.write("".join(f"{one}\n" for one in ids))
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1])
