"""The policy of promotion: what a judged version still waits for, if for anything."""

from datetime import datetime

from headgate.contract.checks import Check, Verdict
from headgate.domain import Domain
from headgate.registry.ledger_state import LedgerState, is_rollback


def waits(
    domain: Domain,
    version: int,
    verdict: Verdict,
    at: LedgerState,
    shadow: Check | None = None,
    now: datetime | None = None,
) -> str:
    """Why `version`, which the gate does not refuse, waits as challenger; "" where it may decide from now on.

    Of several reasons the one that a person must end first. `at` is what the ledger says of the domain, `shadow` the
    version's check against live decisions, where the domain asks for one, and `now` is the present unless given.
    """
    if held := at.held(now):
        return f"{domain.name} is held by {held.who} ({held.why}): `headgate release {domain.name}` ends that."
    if is_rollback(at.line, version):
        return f"Version {at.champion}, which is newer, decides already."
    if domain.promotion == "review":
        return f"A reviewer promotes {domain.name}."
    if verdict.ruling != "passed":
        return "The gate asks for a reviewer."
    if shadow is not None and shadow.outcome != "passed":
        return shadow.sentence
    return ""
