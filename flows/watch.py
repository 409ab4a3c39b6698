"""Watch the live decisions from Prefect: one look a run, the same as `headgate watch --once`."""

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from headgate import settings
from headgate.decisions.watch import Watcher
from headgate.domain import get_domain


@flow(name="watch", flow_run_name="{domain}", validate_parameters=True)
def watch(domain: str) -> State:
    """Count what was decided since the last look, and roll back a champion that harms those known to be good.

    Args:
        domain: which one, for example adclicks.
    """
    looked = Watcher(settings.load(), get_domain(domain)).look()
    return Completed(name="RolledBack" if looked.rolled_back else "Watched", message=looked.words())
