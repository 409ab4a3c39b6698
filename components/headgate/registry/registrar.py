"""The registrar: makes what people change in MLflow true everywhere, once, and writes down that it did.

It compares, for each domain, what the registry says now with what the ledger says was applied and what it says was
begun. A change that no intent explains is a person's, and wins over an automatic one; of an alias and a stage that
people moved both, the alias wins. What may not serve is put back. All that knows of stages lives here and in `changes`.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Event
from typing import TYPE_CHECKING

from headgate.errors import HeadgateError, in_a_line
from headgate.registry import changes, versions
from headgate.registry.aliases import Aliases, read_aliases
from headgate.registry.changes import TAG_ANCHOR, ChangeSession, Refused, change_session
from headgate.registry.ledger import Busy, Entry, Ledger
from headgate.registry.ledger_state import LedgerState
from headgate.registry.versions import CHAMPION, Version
from headgate.settings import Settings

if TYPE_CHECKING:
    from mlflow import MlflowClient

log = logging.getLogger(__name__)

#: Seconds between two looks: a person's change is written down here before serving takes it up.
PERIOD = 0.25

#: MLflow does not say who changed something.
SOMEONE = "registry, unknown"

#: How far back drift is looked for.
WEEK = timedelta(days=7)

#: Looks after which everything is compared although no timestamp has moved.
THOROUGH = 120


@dataclass(frozen=True)
class Decides:
    """The version that decides now, and the one that decided a week before a new version's as-of."""

    now: Version | None
    last_week: Version | None


def decides(settings: Settings, domain: str, as_of: datetime) -> Decides:
    """Who decides, after settling what people changed and what a killed run left undone."""
    registry, ledger = versions.client(settings), Ledger(settings)
    with change_session(registry, ledger, domain) as at:
        reconcile(at)
        line = at.ledger_state().line
    known = {version.number: version for version in versions.all_versions(registry, domain)}
    there = [known[number] for number in line if number in known]
    before = [version for version in there[:-1] if (made := version.as_of) and made <= as_of - WEEK]
    return Decides(there[-1] if there else None, before[-1] if before else None)


def reconcile(at: ChangeSession) -> Entry | None:
    """Compare registry and ledger of one domain, and make them agree; what was written last, None if they agreed.

    Raises HeadgateError, and changes nothing, where the ledger is not the one that the registry was kept with.
    """
    now = at.ledger_state()
    known = versions.all_versions(at.registry, at.domain)
    _not_lost(at, now, known)
    there = {version.number: version for version in known}
    explained = {now.champion, now.wanted}
    alias = next((version for version in known if CHAMPION in version.aliases), None)
    stage = _newest_in_production([version for version in known if version.number not in explained])
    person = alias if alias is not None and alias.number not in explained else stage
    undone = None
    if now.intent is not None:
        target = there.get(now.intent.to_version or 0)
        if person is None and target is not None and now.may_serve(target.number, target.bundle):
            return changes.finish(at, target, now.intent)
        why = "a person chose otherwise meanwhile" if person else "its version was deleted or may not serve any more"
        why = f"The change to {now.intent.to_version} was given up: {why}."
        undone = at.write(Entry(at.domain, "undone", "registrar", why))
        now = at.ledger_state()
    if person is not None:
        return _follow(at, person, _words(person, alias, stage))
    if now.champion is None:
        return undone if alias is None else changes.put_back(at, SOMEONE, "There has been no champion yet.", alias)
    if now.champion not in there:
        return _replace_deleted(at, now) or undone
    why = f"and something must decide: version {now.champion} has it again."
    if alias is None:
        return changes.put_back(at, SOMEONE, f"The alias {CHAMPION} was deleted, {why}", None)
    if there[now.champion].stage != "Production":
        return changes.put_back(at, SOMEONE, f"The stage Production was taken from the champion, {why}", None)
    if alias.number != now.champion or not _agree(now, known):
        changes.apply(at, now.champion, list(now.line))
    return undone or _anchor(at, there[now.champion])


def _not_lost(at: ChangeSession, now: LedgerState, known: Sequence[Version]) -> None:
    """An empty ledger beside anchored versions is a lost one: obeying it would take the champion from traffic."""
    if not now.rulings and not now.line and any(TAG_ANCHOR in version.tags for version in known):
        raise HeadgateError(
            f"The ledger knows no version of {at.domain}, but the registry's tags say that it did: it was lost, or "
            "HEADGATE_LEDGER names another. Nothing is changed; restore it from a backup (`headgate restore`)."
        )


def _newest_in_production(others: Sequence[Version]) -> Version | None:
    """Of the versions in Production the one that was moved there last."""
    there = [version for version in others if version.stage == "Production"]
    return max(there, key=lambda version: (version.changed_ms, version.number), default=None)


def _words(person: Version, alias: Version | None, stage: Version | None) -> str:
    if person is stage:
        return f"Version {person.number} was moved to the stage Production."
    other = f"; version {stage.number} was moved to Production too, and the alias wins" if stage else ""
    return f"The alias {CHAMPION} was moved to version {person.number}{other}."


def _follow(at: ChangeSession, person: Version, why: str) -> Entry:
    """Make a person's choice true, or put it back where it may not serve."""
    try:
        return changes.make_champion(at, person, who=SOMEONE, why=why)
    except Refused as refusal:
        return changes.put_back(at, SOMEONE, f"{why} {refusal}", person)


def _replace_deleted(at: ChangeSession, now: LedgerState) -> Entry | None:
    """The champion was deleted from the registry: the newest version before it that may serve takes its place."""
    why = f"Version {now.champion}, the champion, was deleted from the registry."
    if (version := changes.fallback(at, now)) is not None:
        return changes.make_champion(at, version, who=SOMEONE, why=why, hold=True)
    return _alert_once(at, f"{why} None before it may serve: promote one.")


def _anchor(at: ChangeSession, champion: Version) -> Entry | None:
    """Keep the domain's newest entry known outside of the ledger, so that any tail that is cut off shows."""
    entries = at.ledger.entries(at.domain)
    said, newest = champion.tags.get(TAG_ANCHOR), entries[-1]
    if said in (None, *(entry.anchor for entry in entries)):
        if said != newest.anchor:
            changes.anchor(at, champion.number, newest)
        return None
    why = f"The ledger is not what it was: version {champion.number} has a tag with an entry that is not in it."
    return _alert_once(at, f"{why} See `headgate ledger verify`.")


def _alert_once(at: ChangeSession, why: str) -> Entry | None:
    """Write that a person should look, unless that was written after the last change."""
    for entry in reversed(at.ledger.entries(at.domain)):
        if entry.what == "alert" and entry.why == why:
            return None
        if entry.what == "changed":
            break
    return at.write(Entry(at.domain, "alert", "registrar", why))


def _agree(now: LedgerState, known: Sequence[Version]) -> bool:
    """Whether aliases and stages say what the ledger says."""
    in_production = [version.number for version in known if version.stage == "Production"]
    previous = next((v.number for v in known if versions.PREVIOUS in v.aliases), None)
    expected = next((n for n in reversed(now.line[:-1]) if any(v.number == n for v in known)), None)
    return in_production == [now.champion] and previous == expected


class Registrar:
    """Looks at every domain four times a second until it is stopped."""

    def __init__(self, settings: Settings, domains: Sequence[str]) -> None:
        """Nothing is looked at yet."""
        self._settings, self._domains = settings, domains
        self._registry: MlflowClient | None = None
        self._ledger: Ledger | None = None
        self._agreed: dict[str, tuple[Aliases, int]] = {}  # what was seen, and the ledger's head, when all agreed
        self._looks = 0

    def run(self, stopped: Event) -> None:
        """Look until `stopped` is set. A fault is logged once and tried again."""
        trouble = ""
        while not stopped.is_set():
            try:
                self.look()
                if trouble:
                    log.info("all is well again")
                trouble = ""
            except Exception as error:
                self._registry = None
                said = in_a_line(error)
                if said != trouble:
                    log.error("the registry is not followed: %s", said)
                trouble = said
            stopped.wait(PERIOD)

    def look(self) -> list[Entry]:
        """Look once at all domains; what was written for them."""
        if self._registry is None or self._ledger is None:
            if not versions.exist(self._settings):
                return []
            self._registry, self._ledger = versions.client(self._settings), Ledger(self._settings)
            self._agreed.clear()
        self._looks += 1
        found, head = read_aliases(self._registry), self._ledger.head()
        written = []
        for domain in self._domains:
            if domain not in found:
                continue
            state = (found[domain], head.seq if head else 0)
            if self._agreed.get(domain) == state and self._looks % THOROUGH:
                continue
            try:
                with change_session(self._registry, self._ledger, domain, wait=0.0) as at:
                    entry = reconcile(at)
            except Busy:  # whoever changes something now finishes it, or this process does after its lease
                continue
            if entry is None:
                self._agreed[domain] = state
            else:
                self._agreed.pop(domain, None)
                written.append(entry)
                log.info("%s: %s: %s", domain, entry.what, entry.why)
        return written
