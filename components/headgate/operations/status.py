"""What an operator asks first: what decides, what waits, how the last run ended, and what is up."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from headgate.contract.companions import Companion
from headgate.domain import Domain
from headgate.errors import in_a_line
from headgate.orchestration.outcome import last_run
from headgate.privacy.holdings import read_holdings
from headgate.registry import versions
from headgate.registry.ledger import Entry, Ledger
from headgate.registry.ledger_state import state_of
from headgate.servers import pages
from headgate.settings import Settings


@dataclass(frozen=True)
class Status:
    """The state of every domain, and the local servers that are up."""

    home: str
    domains: list[dict[str, Any]]
    servers: dict[str, str]

    def words(self) -> str:
        """A few lines a domain."""
        lines = []
        for domain in self.domains:
            lines.append(f"{domain['name']}")
            for alias in (versions.CHAMPION, versions.PREVIOUS, versions.CHALLENGER):
                held = domain[alias]
                made = f"version {held['version']}, as of {held['as_of']}, {held['ruling']}" if held else "none"
                if held and alias == versions.CHALLENGER and domain["canary"]:
                    made += f"; decides for {domain['canary']:.1%} of the units"
                lines.append(f"  {alias:<11} {made}")
            lines += [f"  {'companion':<11} {one['title']}: {_in_force(one)}" for one in domain["companions"]]
            lines += [f"  {'held':<11} {one['window']}by {one['who']}: {one['why']}" for one in domain["holds"]]
            lines += [f"  {'store':<11} {domain['store']}"] if domain["store"] else []
            last = domain["last_run"]
            lines.append(f"  {'last run':<11} {last['result'] + ': ' + last['words'] if last else 'none'}")
        addresses = ", ".join(f"{name} {url}" for name, url in self.servers.items())
        lines.append(f"servers      {addresses or 'none is up: `headgate servers`, or `make run`'}")
        lines.append(f"state        {self.home}")
        return "\n".join(lines)


def read_status(settings: Settings, domains: Sequence[Domain]) -> Status:
    """Look at the registry, the last outcomes, the companions and the servers."""
    registry = versions.client(settings) if versions.exist(settings) else None
    found = []
    for domain in domains:
        name = domain.name
        known = versions.all_versions(registry, name) if registry else []
        holders = {
            alias: next((_brief(v) for v in known if alias in v.aliases), None)
            for alias in (versions.CHAMPION, versions.PREVIOUS, versions.CHALLENGER)
        }
        share = versions.canary(registry, name) if registry and holders[versions.CHALLENGER] else 0.0
        holds = state_of(Ledger(settings).entries(name)).holds if registry else ()
        told = [{"who": one.who, "why": one.why, "at": one.at, "window": _window(one)} for one in holds]
        found.append(
            {"name": name, "versions": len(known), **holders, "canary": share, "holds": told}
            | {"last_run": last_run(settings, name)}
            | {"companions": [_companion(settings, one) for one in domain.companions]}
            | {"store": read_holdings(settings, domain).words() if domain.kinds else ""}
        )
    return Status(str(settings.home), found, pages(settings))


def _companion(settings: Settings, companion: Companion) -> dict[str, Any]:
    """Which of a companion is set now, as who serves here would find it."""
    told: dict[str, Any] = {"name": companion.name, "title": companion.title, "id": None, "problem": None}
    try:
        return told | {"id": companion.identify(settings)}
    except Exception as error:  # whatever it is, the rest of the status is told
        return told | {"problem": in_a_line(error)}


def _in_force(companion: dict[str, Any]) -> str:
    return companion["problem"] or companion["id"] or "none is set"


def _window(hold: Entry) -> str:
    """When a freeze begins and ends, UTC; nothing for a hold that is for good."""
    said = [
        f"{word} {hold.details[name][:16]}"
        for word, name in (("from", "starts"), ("until", "ends"))
        if name in hold.details
    ]
    return f"{' '.join(said)} " if said else ""


def _brief(version: versions.Version) -> dict[str, Any]:
    return {
        "version": version.number,
        "bundle": version.bundle,
        "as_of": version.tags.get(versions.TAG_AS_OF, ""),
        "ruling": version.tags.get(versions.TAG_RULING, ""),
        "stage": version.stage,
        "created": datetime.fromtimestamp(version.created_ms / 1000, UTC).isoformat(timespec="seconds"),
    }
