"""How many requests of the local endpoint were slow since the last look, from what it tells Prometheus."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

import httpx

from headgate.decisions import gameday
from headgate.decisions.alerts import Alert
from headgate.domain import Domain
from headgate.servers import authorization, running
from headgate.settings import Settings

#: More of the requests than this may not be slow, and fewer requests than this tell nothing.
SHARE, LEAST = 0.01, 500

#: A count may lie above that by so many of its standard deviations: six slow ones of 500 are chance.
CHANCE = 3.0

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
    domain: Domain
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
        slow_seconds = self.domain.limits.runtime.slow_seconds
        seen = counted(text, self.domain.name, slow_seconds)
        if seen.requests < self.last.requests:  # it was started anew
            self.last = Counted()
        requests, slow = seen.requests - self.last.requests, seen.slow - self.last.slow
        if requests < LEAST:
            return []
        since, now = self.since, now or datetime.now(UTC)
        self.last, self.since = seen, now
        if slow <= SHARE * requests + CHANCE * math.sqrt(SHARE * requests) or gameday.touched(
            self.settings.home, since, now
        ):
            return []
        day = now.date()
        words = (
            f"{slow:,.0f} of {requests:,.0f} requests took longer than {1000 * slow_seconds:g} ms; {SHARE:.0%} may. "
            "Look at the load of the machine, and at /metrics."
        )
        return [Alert(self.domain.name, "latency", f"latency:{day}", words, {"requests": requests, "slow": slow})]


def counted(text: str, domain: str, slow_seconds: float) -> Counted:
    """The requests below ``/v1/DOMAIN/`` in Prometheus's `text`, and those that took longer than `slow_seconds`.

    None where that is no bound of the histogram: an endpoint that was started under other limits cannot tell.
    """
    from prometheus_client.parser import text_string_to_metric_families

    requests, quick = 0.0, 0.0
    told = False  # whether requests as slow as that are told apart
    for family in text_string_to_metric_families(text):
        if family.name != "headgate_request_seconds":
            continue
        for sample in family.samples:
            if not _of(sample.labels, domain):
                continue
            if sample.name.endswith("_count"):
                requests += sample.value
            elif sample.name.endswith("_bucket") and float(sample.labels["le"]) == slow_seconds:
                quick += sample.value
                told = True
    return Counted(requests, requests - quick) if told else Counted()


def _of(labels: Mapping[str, str], domain: str) -> bool:
    return labels.get("path", "").startswith(f"/v1/{domain}/")
