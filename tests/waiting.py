"""What happens in another thread, and what Prometheus has counted."""

import time
from collections.abc import Callable

from prometheus_client import REGISTRY


def until(condition: Callable[[], object], seconds: float = 30.0) -> None:
    """Spin until `condition` holds: what it waits for happens in another thread."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"


def metric(name: str, **labels: str) -> float:
    """What has been counted so far."""
    return REGISTRY.get_sample_value(name, labels) or 0.0
