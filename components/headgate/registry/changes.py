"""Change who decides: always an intent in the ledger first, then the registry, then the ledger again.

Every way to change a champion comes through here: the gate's promotion, `headgate rollback`, the flows, and the
registrar for what people changed in MLflow. Each step can be repeated, so a change that was cut off is finished or
given up by whoever looks next (`registrar`).
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from headgate.errors import HeadgateError, UsageError
from headgate.registry import versions
from headgate.registry.ledger import Entry, Lease, Ledger, What
from headgate.registry.ledger_state import LedgerState, is_rollback, moved, state_of
from headgate.registry.versions import CHALLENGER, CHAMPION, PREVIOUS, Version, without_stage_warnings

if TYPE_CHECKING:
    from mlflow import MlflowClient

#: A version's tag with the newest ledger entry about it: the ledger's anchor outside of its database.
TAG_ANCHOR = "headgate.ledger"

#: A version's tag by which a reviewer lets it serve although the gate refused it: the reason.
TAG_OVERRIDE = "override"


class Refused(HeadgateError):
    """The ledger does not let a version serve."""


@dataclass(frozen=True)
class ChangeSession:
    """A registry, its ledger, and the lease that lets this process change one domain."""

    registry: "MlflowClient"
    ledger: Ledger
    lease: Lease
    domain: str

    def ledger_state(self) -> LedgerState:
        """Where the domain stands now."""
        return state_of(self.ledger.entries(self.domain))

    def write(self, entry: Entry) -> Entry:
        """Append to the ledger, unless the lease was lost."""
        return self.ledger.append(entry, self.lease)

    def hold_on(self) -> None:
        """Renew the lease before a write elsewhere; raises `Fenced` if it was lost."""
        self.ledger.renew(self.lease)


@contextmanager
def change_session(registry: "MlflowClient", ledger: Ledger, domain: str, **lease: float) -> Iterator[ChangeSession]:
    """The right to change `domain` for the block: one process at a time has it."""
    with ledger.lease(f"registry/{domain}", **lease) as held:
        yield ChangeSession(registry, ledger, held, domain)


def record_verdict(ledger: Ledger, version: Version, ruling: str, who: str, reasons: list[str]) -> Entry:
    """What the gate ruled on a version, with the hash of the bundle it ruled on. Written once for the same ruling."""
    entry = Entry(
        version.domain,
        "verdict",
        who,
        " ".join(reasons),
        to_version=version.number,
        bundle=version.bundle,
        ruling=ruling,
        run_id=version.run_id,
        data=version.tags.get(versions.TAG_DATA, ""),
    )
    ours = (e for e in ledger.entries(version.domain) if e.what == "verdict" and e.to_version == version.number)
    newest = max(ours, key=lambda one: one.seq, default=None)
    if newest is not None and (newest.bundle, newest.ruling) == (version.bundle, ruling):
        return newest
    return ledger.append(entry)


def make_champion(at: ChangeSession, version: Version, *, who: str, why: str, hold: bool | None = None) -> Entry:
    """Let `version` decide. Going back sets a hold on automatic promotion, unless `hold` says otherwise.

    Raises `Refused` if the ledger does not let it serve.
    """
    now = at.ledger_state()
    allow(at, now, version, who)
    back = is_rollback(now.line, version.number)
    intent = at.write(_entry("intent", now, version, who, why, {"hold": back if hold is None else hold}))
    return finish(at, version, intent)


def finish(at: ChangeSession, version: Version, intent: Entry) -> Entry:
    """Do what `intent` says to the registry, and write that it was done. Safe to repeat from any point."""
    now = at.ledger_state()
    apply(at, version.number, moved(now.line, version.number))
    details = {"intent": intent.seq, "rollback": is_rollback(now.line, version.number)}
    if intent.details.get("hold") and all(hold.details.get("intent") != intent.seq for hold in now.holds):
        why = f"Version {version.number} took the place of {now.champion}: {intent.why}"
        at.write(Entry(at.domain, "hold", intent.who, why, details={"intent": intent.seq}))
    changed = at.write(_entry("changed", now, version, intent.who, intent.why, details))
    anchor(at, version.number, changed)
    return changed


def put_back(at: ChangeSession, who: str, why: str, attempted: Version | None) -> Entry:
    """Undo a change in the registry that may not be, and write down that it was tried."""
    now = at.ledger_state()
    apply(at, now.champion, list(now.line))
    entry = Entry(
        at.domain,
        "refused",
        who,
        why,
        from_version=now.champion,
        to_version=attempted.number if attempted else None,
        bundle=attempted.bundle if attempted else "",
    )
    return at.write(entry)


def challenge(at: ChangeSession, version: Version, *, who: str, why: str) -> Entry:
    """Let `version` wait for a reviewer."""
    at.hold_on()
    at.registry.set_registered_model_alias(at.domain, CHALLENGER, str(version.number))
    with without_stage_warnings():
        at.registry.transition_model_version_stage(at.domain, str(version.number), "Staging")
    written = at.write(_entry("challenger", at.ledger_state(), version, who, why))
    anchor(at, version.number, written)
    return written


def canary(at: ChangeSession, challenger: Version, share: float, *, who: str, why: str) -> Entry:
    """Let `challenger` decide for a share of the units, from 0, which ends it, to 1."""
    if not 0 <= share <= 1:  # nan too, which an option's range lets through
        raise UsageError(f"--share {share:g} is no share: give one from 0, which ends the canary, to 1.")
    now = at.ledger_state()
    if share:
        allow(at, now, challenger, who)
    at.hold_on()
    at.registry.set_registered_model_tag(at.domain, versions.TAG_CANARY, f"{share:g}")
    return at.write(_entry("canary", now, challenger, who, why, {"share": share}))


def hold(
    ledger: Ledger, domain: str, *, who: str, why: str, starts: datetime | None = None, ends: datetime | None = None
) -> Entry:
    """Keep automatic promotion off, from `starts` to `ends` where they are given: a freeze window."""
    told = {name: at.astimezone(UTC) for name, at in (("starts", starts), ("ends", ends)) if at is not None}
    if len(told) == 2 and told["ends"] <= told["starts"]:
        raise UsageError("The freeze ends before it starts: check --from and --until.")
    details = {name: at.isoformat() for name, at in told.items()}
    return ledger.append(Entry(domain, "hold", who, why, details=details))


def release(ledger: Ledger, domain: str, *, who: str, why: str) -> Entry:
    """End every hold and freeze of `domain`."""
    if not state_of(ledger.entries(domain)).holds:
        raise UsageError(f"{domain} is not held: there is nothing to release.")
    return ledger.append(Entry(domain, "released", who, why))


def rollback(at: ChangeSession, wanted: str | None, *, who: str, why: str) -> Entry:
    """Let the version before the champion decide again, or the version `wanted`. Answers the entry that says so."""
    now = at.ledger_state()
    if now.champion is None:
        raise UsageError(f"{at.domain} has no champion, so there is nothing to roll back.")
    target = versions.find(at.registry, at.domain, wanted) if wanted else fallback(at, now)
    if target is None:
        raise UsageError(
            f"{at.domain} has no version before {now.champion} that is still there and may serve: name one with --to, "
            "or `headgate hold`."
        )
    if target.number == now.champion:
        raise UsageError(f"{at.domain} version {target.number} is the champion already.")
    return make_champion(at, target, who=who, why=why, hold=True)


def fallback(at: ChangeSession, now: LedgerState) -> Version | None:
    """The version to go back to: the newest before the champion that the registry still has and that may serve."""
    known = {version.number: version for version in versions.all_versions(at.registry, at.domain)}
    before = (known[number] for number in reversed(now.line[:-1]) if number in known)
    return next((version for version in before if now.may_serve(version.number, version.bundle)), None)


def allow(at: ChangeSession, now: LedgerState, version: Version, who: str) -> None:
    """Raise `Refused` unless the ledger lets `version` serve. A reviewer's override tag is taken down first."""
    if now.may_serve(version.number, version.bundle):
        return
    reason = version.tags.get(TAG_OVERRIDE, "").strip()
    if reason and version.bundle:
        at.write(_entry("override", now, version, who, reason))
        return
    judged, ruling = now.rulings.get(version.number, ("", ""))
    if not ruling:
        found = "the ledger holds no verdict on it"
    elif judged != version.bundle:
        found = "it is not the bundle that was judged"
    else:
        found = f"the gate {ruling} it" if ruling == "refused" else f"its ruling is {ruling}"
    raise Refused(
        f"{at.domain} version {version.number} may not serve: {found}. A reviewer who wants it all the same gives the "
        f"version a tag `{TAG_OVERRIDE}` with the reason, and moves the alias then."
    )


def apply(at: ChangeSession, champion: int | None, line: list[int]) -> None:
    """Make aliases and stages say that `champion` decides and what to go back to. Writes only what differs.

    Where the champion was deleted from the registry, none decides until another takes its place.
    """
    known, held = versions.look(at.registry, at.domain)
    numbers = {version.number for version in known}
    champion = champion if champion in numbers else None
    before = next((number for number in reversed(line[:-1]) if number in numbers), None)
    wanted = {CHAMPION: champion, PREVIOUS: before}
    if held.get(CHALLENGER) == champion:
        wanted[CHALLENGER] = None
    for alias, number in wanted.items():
        if held.get(alias) == number:
            continue
        at.hold_on()
        if number is None:
            at.registry.delete_registered_model_alias(at.domain, alias)
        else:
            at.registry.set_registered_model_alias(at.domain, alias, str(number))
    stages = {version.number: version.stage for version in known}
    others = [n for n, stage in stages.items() if stage == "Production" and n != champion]
    with without_stage_warnings():
        if champion is not None and (others or stages.get(champion) != "Production"):
            at.hold_on()
            at.registry.transition_model_version_stage(
                at.domain, str(champion), "Production", archive_existing_versions=True
            )
        elif champion is None:
            for number in others:
                at.hold_on()
                at.registry.transition_model_version_stage(at.domain, str(number), "Archived")


def anchor(at: ChangeSession, version: int, entry: Entry) -> None:
    """Write the newest entry's hash where the ledger's own database is not."""
    at.hold_on()
    at.registry.set_model_version_tag(at.domain, str(version), TAG_ANCHOR, entry.anchor)


def anchors(registry: "MlflowClient", domains: list[str]) -> Iterator[str]:
    """Every anchor that the registry's versions hold."""
    for domain in domains:
        for version in versions.all_versions(registry, domain):
            if TAG_ANCHOR in version.tags:
                yield version.tags[TAG_ANCHOR]


def _entry(
    what: What, now: LedgerState, version: Version, who: str, why: str, details: Mapping[str, Any] | None = None
) -> Entry:
    return Entry(
        version.domain,
        what,
        who,
        why,
        from_version=now.champion,
        to_version=version.number,
        bundle=version.bundle,
        ruling=now.rulings.get(version.number, ("", ""))[1],
        run_id=version.run_id,
        data=version.tags.get(versions.TAG_DATA, ""),
        details=details or {},
    )
