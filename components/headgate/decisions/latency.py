"""How many requests of the local endpoint were slow since the last look, from what it tells Prometheus."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

import httpx

from headgate.decisions import gameday
from headgate.decisions.alerts import Alert
from headgate.servers import authorization, running
from headgate.settings import Settings

#: A request that takes longer is slow, in seconds: one of the histogram's buckets.
SLOW = 0.025

#: More of the requests than this may not be slow, and fewer requests than this tell nothing.
SHARE, LEAST = 0.01, 500

#: Seconds that the endpoint has to answer.
TIMEOUT = 2.0


@dataclass(frozen=True)
class Counted:
    """Requests of a domain since its endpoint started: all, and those that were slow."""

    requests: float = 0.0
    slow: float = 0.0


@dataclass
class Latency:
    """Looks at the endpoint of one domain, and remembers what it had counted."""

    settings: Settings
    domain: str
    last: Counted = field(default_factory=Counted)
    since: datetime = field(default_factory=lambda: datetime.now(UTC))  # when `last` was counted

    def look(self, now: datetime | None = None) -> list[Alert]:
        """An alert where too many requests since the last look were slow: at most one a day, and none of a game day."""
        address = running(self.settings).get("headgate")
        if address is None:
            return []
        try:
            answer = httpx.get(f"{address}/metrics", headers=authorization(), timeout=TIMEOUT, trust_env=False)
            text = answer.raise_for_status().text
        except httpx.HTTPError:
            return []
        seen = counted(text, self.domain)
        if seen.requests < self.last.requests:  # it was started anew
            self.last = Counted()
        requests, slow = seen.requests - self.last.requests, seen.slow - self.last.slow
        if requests < LEAST:
            return []
        since, now = self.since, now or datetime.now(UTC)
        self.last, self.since = seen, now
        if slow <= SHARE * requests or gameday.touched(self.settings.home, since, now):
            return []
        day = now.date()
        words = (
            f"{slow:,.0f} of {requests:,.0f} requests took longer than {1000 * SLOW:g} ms; {SHARE:.0%} may. Look at "
            "the load of the machine, and at /metrics."
        )
        return [Alert(self.domain, "latency", f"latency:{day}", words, {"requests": requests, "slow": slow})]


def counted(text: str, domain: str) -> Counted:
    """The requests below ``/v1/DOMAIN/`` in Prometheus's `text`."""
    from prometheus_client.parser import text_string_to_metric_families

    requests = quick = 0.0
    for family in text_string_to_metric_families(text):
        if family.name != "headgate_request_seconds":
            continue
        for sample in family.samples:
            if not _of(sample.labels, domain):
                continue
            if sample.name.endswith("_count"):
                requests += sample.value
            elif sample.name.endswith("_bucket") and float(sample.labels["le"]) == SLOW:
                quick += sample.value
    return Counted(requests, requests - quick)


def _of(labels: Mapping[str, str], domain: str) -> bool:
    return labels.get("path", "").startswith(f"/v1/{domain}/")
