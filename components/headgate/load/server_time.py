"""The time that requests spend inside the server, as its own histogram tells it before and after a load."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

HISTOGRAM = "headgate_request_seconds"

#: Seconds that the server has to tell.
TIMEOUT = 5.0

#: The upper bound of each bucket in seconds → how many requests took at most so long, all paths and answers together.
Buckets = Mapping[float, float]


@dataclass(frozen=True)
class Bounds:
    """A quantile of a histogram: between two bounds of a bucket, and where a straight line between them puts it."""

    low: float
    high: float
    likely: float


def scrape(address: str, path: str, token: str | None = None) -> Buckets:
    """The histogram of `path` at the server on `address`; empty where there is none."""
    import httpx

    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        answer = httpx.get(f"{address}/metrics", headers=headers, timeout=TIMEOUT, trust_env=False)
        return buckets(answer.text, path) if answer.status_code == 200 else {}
    except httpx.HTTPError:
        return {}


def buckets(text: str, path: str) -> Buckets:
    """The histogram of `path` in Prometheus's `text`."""
    from prometheus_client.parser import text_string_to_metric_families

    found: dict[float, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples if family.name == HISTOGRAM else ():
            if sample.name == f"{HISTOGRAM}_bucket" and sample.labels.get("path") == path:
                bound = float(sample.labels["le"])
                found[bound] = found.get(bound, 0.0) + sample.value
    return dict(sorted(found.items()))


def quantiles(before: Buckets, after: Buckets, wanted: Sequence[float]) -> list[Bounds] | None:
    """Quantiles of what came between two looks; None where nothing did, or the server was started anew meanwhile."""
    counted = [(bound, count - before.get(bound, 0.0)) for bound, count in after.items()]
    total = counted[-1][1] if counted else 0.0
    if total <= 0 or any(later[1] < earlier[1] for earlier, later in pairwise([(0.0, 0.0), *counted])):
        return None
    return [_quantile(counted, total * q) for q in wanted]


def _quantile(counted: Sequence[tuple[float, float]], rank: float) -> Bounds:
    low = below = 0.0
    for high, count in counted:
        if count >= rank and count > below:
            part = (rank - below) / (count - below)
            return Bounds(low, high, low + part * (high - low) if high < float("inf") else low)
        low, below = high, count
    raise AssertionError("the last bucket holds all")
