"""Undo a promotion from the Prefect UI: the same rollback as `headgate rollback`, by the same function."""

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from headgate import settings
from headgate.domain import get_domain
from headgate.operations.rollback import roll_back


@flow(name="rollback", flow_run_name="{domain}", validate_parameters=True)
def rollback(domain: str, reason: str, to: int | None = None) -> State:
    """Let the version before decide again, and hold automatic promotion.

    Args:
        domain: which one, for example adclicks.
        reason: why, for whoever reads the ledger.
        to: a version; the one before the champion, if left out.
    """
    done = roll_back(settings.load(), get_domain(domain).name, str(to) if to else None, reason, who="the rollback flow")
    return Completed(name="RolledBack", message=done.words())
