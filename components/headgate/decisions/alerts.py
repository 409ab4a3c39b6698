"""Tell people, once for each fact: an entry in the ledger always, and a webhook where HEADGATE_ALERT_URL names one.

What there is to tell is worked out from the ledger and the last run's outcome, so a watch that was killed tells it when
it next looks. A webhook that does not answer delays nothing: it is asked from a thread of its own.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from urllib.parse import urlsplit

from headgate.domain import Domain
from headgate.orchestration.outcome import last_run
from headgate.registry.ledger import Entry, Ledger
from headgate.registry.ledger_state import LedgerState
from headgate.settings import Settings

log = logging.getLogger(__name__)

Kind = Literal[
    "rollback", "refusal", "missed day", "missed week", "old champion", "harm", "drift", "latency", "matured labels"
]

#: Who alerts, for the ledger.
WHO = "the watch"

#: Seconds that a webhook may take, and those to wait before each further try.
TIMEOUT, WAITS = 5.0, (1.0, 4.0)

#: Facts that are older than this are history, and wake nobody.
FRESH = timedelta(days=2)

#: A domain is retrained by its cadence: without a run whose data is younger than that and this, one was missed.
LATE = timedelta(hours=6)

#: A champion that was made of data from before so many runs has grown old.
OLD = 7


@dataclass(frozen=True)
class Alert:
    """One fact. `key` names it within its domain: a fact is told once."""

    domain: str
    kind: Kind
    key: str
    words: str
    details: Mapping[str, Any] = field(default_factory=dict)


def told(entries: Sequence[Entry]) -> set[str]:
    """The keys of the facts that a domain's `entries` say were told."""
    return {entry.details.get("key", "") for entry in entries if entry.what == "alert"}


def tell(settings: Settings, ledger: Ledger, alert: Alert) -> Entry:
    """Write `alert` to the ledger, and send it to the webhook without waiting for it.

    The caller has looked whether it was `told`. The process ends no sooner than the webhook answers or is given up,
    about 20 seconds at most.
    """
    details = {"kind": alert.kind, "key": alert.key, **alert.details}
    entry = ledger.append(Entry(alert.domain, "alert", WHO, alert.words, details=details))
    if settings.alert_url:
        threading.Thread(target=send, args=(settings.alert_url, alert), name="alert").start()
    return entry


def send(url: str, alert: Alert, wait: Callable[[float], None] = time.sleep) -> bool:
    """POST `alert` to `url` as JSON, a few times if need be; whether it was taken.

    The body is the alert's fields and `text`, the words under the name that chat tools read.
    """
    import httpx

    body = asdict(alert) | {"text": f"{alert.domain}: {alert.words}", "at": datetime.now(UTC).isoformat()}
    trouble = ""
    for pause in (*WAITS, None):
        try:
            httpx.post(url, json=body, timeout=TIMEOUT).raise_for_status()
            return True
        except httpx.HTTPStatusError as error:  # what httpx says of it holds the whole address
            trouble = f"it answers {error.response.status_code}"
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            trouble = type(error).__name__
        if pause is not None:
            wait(pause)
    log.error("the alert %r of %s was not delivered to %s: %s", alert.key, alert.domain, redacted(url), trouble)
    return False


def redacted(url: str) -> str:
    """`url` without what may be secret in it: user, path and query, where chat tools keep their tokens."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "HEADGATE_ALERT_URL"
    return f"{parts.scheme}://{parts.hostname}{port}/…"


def due(
    settings: Settings, domain: Domain, entries: Sequence[Entry], at: LedgerState, as_of: datetime | None, now: datetime
) -> list[Alert]:
    """What the ledger's `entries` of a domain and its last run give to tell, and was not told.

    `as_of` is of the champion's data, where it is known.
    """
    known = told(entries)
    facts = (*_changes(domain.name, entries, now), *_runs(settings, domain, at, now), *_age(domain, at, as_of, now))
    return [alert for alert in facts if alert.key not in known]


def _changes(domain: str, entries: Sequence[Entry], now: datetime) -> Iterator[Alert]:
    for entry in entries:
        if now - datetime.fromisoformat(entry.at) > FRESH:
            continue
        said = {"entry": entry.seq, "from": entry.from_version, "to": entry.to_version}
        if entry.what == "changed" and entry.details.get("rollback"):
            words = f"{entry.who} rolled back from version {entry.from_version} to {entry.to_version}: {entry.why}"
            yield Alert(domain, "rollback", f"rollback:{entry.seq}", words, said)
        elif entry.what == "refused" or (entry.what == "verdict" and entry.ruling == "refused"):
            words = f"Version {entry.to_version} is refused; the champion stays. {entry.why}"
            yield Alert(domain, "refusal", f"refusal:{entry.seq}", words, said)


def _runs(settings: Settings, domain: Domain, at: LedgerState, now: datetime) -> Iterator[Alert]:
    name, run = domain.name, last_run(settings, domain.name)
    if run is None or at.champion is None:
        return
    as_of = run["as_of"]
    if run["result"] in ("data refused", "did not end"):
        yield Alert(name, "refusal", f"{run['result']}:{as_of}", f"The run as of {as_of}: {run['words']}")
    if now - datetime.fromisoformat(as_of) > domain.cadence.every + LATE:
        kind: Kind = "missed day" if domain.cadence.period == "day" else "missed week"
        words = f"The last run is as of {as_of}: a {domain.cadence.period} was missed."
        yield Alert(name, kind, f"missed:{as_of}", f"{words} `headgate retrain {name}` catches up.")


def _age(domain: Domain, at: LedgerState, as_of: datetime | None, now: datetime) -> Iterator[Alert]:
    if as_of is not None and now - as_of > OLD * domain.cadence.every:
        words = (
            f"Version {at.champion} decides, and was made of data as of {as_of:%Y-%m-%d}, {(now - as_of).days} days "
            "ago: `headgate status` says why no newer one was let through."
        )
        yield Alert(domain.name, "old champion", f"old:{at.champion}", words, {"as_of": as_of.isoformat()})
