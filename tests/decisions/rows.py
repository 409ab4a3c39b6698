"""Rows as a serving process logs them, and one that logs until it is killed.

python rows.py NUMBER
"""

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import count
from typing import Any

import numpy as np

from headgate import settings as settings_module
from headgate.decisions.recorder import Segments
from headgate.domains.adclicks.features.click import micros
from headgate.domains.adclicks.features.kernel import FEATURES
from headgate.domains.adclicks.serving.log_rows import LoggedClick

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)


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
        "against": False,
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


def rows(ids: Sequence[str], **told: Any) -> list[LoggedClick]:
    """A row for each id."""
    return [row(one, **told) for one in ids]


def main(name: str) -> None:
    """Log request after request, and tell each on standard output once it is acknowledged."""
    recorder = Segments(settings_module.load())
    for number in count():
        ids = [f"{name}-{number}-{n}" for n in range(number % 4 + 1)]
        recorder.record("adclicks", rows(ids))
        sys.stdout.write("".join(f"{one}\n" for one in ids))
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1])
