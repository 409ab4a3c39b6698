"""Where every domain stands, as the registry, the ledger, the last run and this process say; and a verdict in full."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit, urlunsplit

from headgate.contract.checks import Check, Verdict
from headgate.errors import HeadgateError, UsageError
from headgate.orchestration.outcome import Outcome, last_run
from headgate.registry import versions
from headgate.registry.aliases import Aliases, read_aliases
from headgate.registry.ledger import Entry, Ledger
from headgate.registry.ledger_state import LedgerState, state_of
from headgate.servers import pages
from headgate.settings import Settings

#: Where a browser finds MLflow and Prefect while that is not known.
NOWHERE = {"mlflow": "", "prefect": ""}

#: So many alerts are told of a domain, the newest ones.
ALERTS = 3

#: So many entries of the ledger are shown of a domain.
NEWEST = 8


@dataclass(frozen=True)
class Told:
    """What the ledger and the last run say of a domain."""

    name: str
    ledger_state: LedgerState
    held: Entry | None  # the hold or freeze that is in force
    verdict: Entry | None  # the last one
    refusal: Entry | None  # the last verdict that refused
    verdicts: tuple[Entry, ...]  # newest first
    alerts: tuple[Entry, ...]  # the newest, newest first
    since: str  # when the champion became it; "" where there is none
    entries: tuple[Entry, ...]  # the newest, newest first
    last_run: dict[str, str] | None


def told(settings: Settings, names: Sequence[str]) -> list[Told]:
    """What is known without the registry, for each domain of `names`."""
    entries = Ledger(settings).entries()
    return [_of(settings, name, [entry for entry in entries if entry.domain == name]) for name in names]


def _of(settings: Settings, name: str, entries: Sequence[Entry]) -> Told:
    stands = state_of(entries)
    verdicts = [entry for entry in entries if entry.what == "verdict"]
    return Told(
        name,
        stands,
        stands.held(),
        verdicts[-1] if verdicts else None,
        next((entry for entry in reversed(verdicts) if entry.ruling == "refused"), None),
        tuple(reversed(verdicts)),
        tuple([entry for entry in reversed(entries) if entry.what == "alert"][:ALERTS]),
        next((entry.at for entry in reversed(entries) if entry.what == "changed"), ""),
        tuple(reversed(entries[-NEWEST:])),
        last_run(settings, name),
    )


def posts(settings: Settings) -> dict[str, Aliases]:
    """Who holds which alias now, by domain; none where there is no registry. HeadgateError where it does not answer."""
    return read_aliases(versions.client(settings)) if versions.exist(settings) else {}


def links(settings: Settings) -> dict[str, str]:
    """Where a browser finds MLflow and Prefect, without a final slash: servers of yours, or local ones; else ""."""
    local = {name: page for name, page in pages(settings).items() if name != "headgate"}
    found = NOWHERE | {name: f"{urlsplit(page).scheme}://{urlsplit(page).netloc}" for name, page in local.items()}
    for name, address in (("mlflow", settings.tracking_uri), ("prefect", settings.prefect_api)):
        if address and address.startswith(("http://", "https://")):
            found[name] = _public(address).removesuffix("/api")
    return found


def entry(settings: Settings, domain: str, seq: int) -> Entry:
    """One entry of a domain's ledger. Raises UsageError where there is none."""
    for one in Ledger(settings).entries(domain):
        if one.seq == seq:
            return one
    raise UsageError(f"The ledger has no entry {seq} of {domain}.")


def verdict(settings: Settings, run_id: str) -> Verdict:
    """The whole verdict, which the run logged. Raises HeadgateError where the registry does not give it."""
    from mlflow.artifacts import download_artifacts

    registry = versions.client(settings)
    with TemporaryDirectory() as scratch:
        try:
            path = download_artifacts(
                run_id=run_id, artifact_path="verdict.json", dst_path=scratch, tracking_uri=registry.tracking_uri
            )
            return Verdict.from_dict(json.loads(Path(path).read_text(encoding="utf-8")))
        except Exception as error:
            raise HeadgateError(f"The run's verdict.json could not be read ({type(error).__name__}).") from error


#: Headings over the checks of a verdict, by outcome and consequence, in the order in which they are shown.
HEADINGS = {
    ("failed", "refuse"): "These refuse the version",
    ("failed", "review"): "These ask for a reviewer",
    ("failed", "note"): "Failed, and only noted",
    ("not judged", ""): "Not judged",
    ("passed", ""): "Passed",
}


def ordered(checks: Sequence[Check]) -> list[tuple[str, list[Check]]]:
    """The checks under headings: what failed first, the weightiest of it before all, then what was not judged."""
    groups: dict[tuple[str, str], list[Check]] = {key: [] for key in HEADINGS}
    for check in checks:
        groups[check.outcome, check.consequence if check.outcome == "failed" else ""].append(check)
    return [(HEADINGS[key], some) for key, some in groups.items() if some]


def outcome(settings: Settings, domain: str) -> Outcome:
    """How the last run ended. Raises UsageError where none has."""
    found = Outcome.read(settings, domain)
    if found is None:
        raise UsageError(f"No run of {domain} has ended yet.")
    return found


def window(hold: Entry) -> str:
    """When a hold begins and ends, in words."""
    starts, ends = (hold.details.get(name) for name in ("starts", "ends"))
    since = f"from {moment(starts)} " if starts else ""
    return f"{since}until {moment(ends)}" if ends else f"{since}until a person releases it"


def moment(text: str) -> str:
    """An instant of the ledger for people, in UTC."""
    try:
        return f"{datetime.fromisoformat(text).astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    except ValueError:
        return text


def _public(address: str) -> str:
    """An address without a user's name and password."""
    parts = urlsplit(address)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="")).rstrip("/")
