"""How one decision came about: the row that was logged, its version, what the ledger says of it, what changed it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

import polars as pl

from headgate.contract.companions import in_words
from headgate.contract.row import COMMON
from headgate.decisions import rulings
from headgate.decisions.layout import corrections_folder
from headgate.decisions.reading import effective, find
from headgate.decisions.rulings import RULINGS
from headgate.domain import Domain
from headgate.errors import HeadgateError, UsageError
from headgate.privacy.index import forgotten_units
from headgate.privacy.references import is_reference
from headgate.privacy.store import Store
from headgate.registry import versions
from headgate.registry.ledger import Entry, Ledger
from headgate.settings import Settings


@dataclass(frozen=True)
class Traced:
    """All that is known about one decision."""

    domain: str
    decision: dict[str, Any]  # the logged row
    part: str  # of the log
    run_id: str  # "" where nobody knows any more
    data: str  # the data version
    companions: str  # in words
    ledger: list[dict[str, Any]]  # entries about the version, oldest first
    corrections: list[dict[str, Any]]  # oldest first; a person's ruling is the last
    holds: str  # the outcome, as of now
    outcomes: dict[str, str]  # in words
    held: dict[str, str] = field(default_factory=dict)  # of what the row refers to in the store: what became of it

    def words(self) -> str:
        """The story, from the decision to what holds now."""
        row = self.decision
        own = {name: value for name, value in row.items() if name not in COMMON and not isinstance(value, list)}
        facts = {
            "decided": f"{self._told(row['outcome'])}, slice {row['slice'] or 'none'}, as {row['role']}",
            "version": f"{row['version']}, bundle {row['bundle']}",
            "run": self.run_id or "unknown: neither ledger nor registry tells",
            "data": self.data or "unknown",
            "companions": self.companions,
        } | {name: _shown(value) for name, value in own.items() if value not in (None, "")}
        facts |= {name: f"{own[name]}: {told}" if name in own else told for name, told in self.held.items()}
        lines = [f"{row['decision_id']}: {self.domain}, {_at(row['decided_at'])}"]
        lines += [f"  {name:<15} {value}" for name, value in facts.items()]
        lines.append(f"The ledger about version {row['version']}:" if self.ledger else "The ledger does not know it.")
        lines += [f"  {e['at'][:19]} {e['what']} by {e['who']}: {e['ruling']} {e['why']}".rstrip() for e in self.ledger]
        for one in self.corrections:
            by = f"ruled by {one.get('who')}" if one["by"] == RULINGS else f"replay {one['by']}"
            at = one.get("corrected_at") or one.get("ruled_at")
            when = f"{_at(at)} " if at else ""
            lines.append(f"Corrected {when}({by}): {self._told(one['outcome'])}. {one.get('why') or ''}".rstrip())
        lines.append(f"Now: {self._told(self.holds)}.")
        return "\n".join(lines)

    def _told(self, outcome: str | None) -> str:
        return self.outcomes.get(outcome or "", outcome or "not decided")


def trace_decision(settings: Settings, domains: Sequence[Domain], decision_id: str) -> Traced:
    """The story of `decision_id`, of whichever of `domains`; raises UsageError where no log has it.

    Columns that the domain hides are left out.
    """
    for domain in domains:
        found = find(settings, domain.live.log, decision_id) if domain.live else None
        if found is not None:
            return _told(settings, domain, *found)
    raise UsageError(
        f"No log in {settings.home / 'log'} has the decision {decision_id!r}: check the id, HEADGATE_HOME, and whether "
        "`headgate gc` has removed that day."
    )


def _told(settings: Settings, domain: Domain, part: str, row: pl.DataFrame) -> Traced:
    name, decision = domain.name, row.drop(domain.logs.log.hidden).row(0, named=True)
    about = _entries(settings, name, decision["version"])
    made = next((e for e in reversed(about) if e.to_version == decision["version"] and e.run_id), None)
    run_id, data = (made.run_id, made.data) if made else _registered(settings, name, decision["version"])
    return Traced(
        name,
        decision,
        part,
        run_id,
        data,
        in_words(decision["companions"], domain.companions),
        [asdict(entry) for entry in about],
        _corrections(settings, name, part, decision["decision_id"]),
        effective(settings, domain.logs.log, row, part)["outcome"][0],
        dict(domain.decides.words),
        _held(settings, domain, row.row(0, named=True), domain.logs.log.hidden),
    )


def _held(settings: Settings, domain: Domain, row: Mapping[str, Any], hidden: Sequence[str]) -> dict[str, str]:
    """What has become of the bytes that a row refers to, by its column; and of whom it is about, if that is over."""
    store = Store(settings, domain.name, domain.kinds)
    shown = {name: value for name, value in row.items() if name not in hidden}
    told = {name: store.tell(value) for name, value in shown.items() if is_reference(value, domain.name)}
    unit = domain.logs.log.unit
    until = forgotten_units(settings, domain.name).get(str(row.get(unit))) if unit else None
    if until is not None and row["decided_at"] <= until:
        told["forgotten"] = f"on {_at(until)}, and with it what was personal in this row"
    return told


def _entries(settings: Settings, domain: str, version: int) -> list[Entry]:
    """What the ledger says of a version; asking makes no ledger."""
    if settings.ledger is None and not (settings.home / "ledger.db").is_file():
        return []
    return [entry for entry in Ledger(settings).entries(domain) if version in (entry.from_version, entry.to_version)]


def _registered(settings: Settings, domain: str, version: int) -> tuple[str, str]:
    """Run and data version as the registry tells them: for versions from before the ledger."""
    try:
        found = versions.wanted(settings, domain, str(version))
    except HeadgateError:
        return "", ""
    return found.run_id, found.tags.get(versions.TAG_DATA, "")


def _corrections(settings: Settings, domain: str, part: str, decision_id: str) -> list[dict[str, Any]]:
    home = corrections_folder(settings, domain)
    found = []
    for path in home.glob(f"[!.]*/{part}.parquet"):
        rows = pl.scan_parquet(path, glob=False).filter(pl.col("decision_id") == decision_id).collect()
        found += [{"by": path.parent.name} | row for row in rows.to_dicts()]
    found.sort(key=lambda one: str(one.get("corrected_at", "")))
    return found + [{"by": RULINGS} | row for row in rulings.told(settings, domain, decision_id)]


def _shown(value: Any) -> str:
    if isinstance(value, datetime):
        return _at(value)
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _at(instant: datetime) -> str:
    return f"{instant:%Y-%m-%d %H:%M:%S.%f}"[:-3] + " UTC"
