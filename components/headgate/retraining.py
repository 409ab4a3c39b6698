"""Run the retrain flow from the command line: with a Prefect server, one at a time, to an outcome that holds."""

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from headgate import domains
from headgate.data import datasets
from headgate.errors import HeadgateError
from headgate.files import sweep
from headgate.outcome import Outcome, outcome_file
from headgate.servers import prefect_server, running, up
from headgate.settings import Settings

if TYPE_CHECKING:
    from prefect.client.schemas.objects import State

#: How long Prefect may take to close a run whose outcome is written: without its server it would wait for minutes.
CLOSING_SECONDS = 30


def retrain(
    settings: Settings,
    domain: str,
    source: str,
    as_of: datetime | None,
    *,
    recalibrate_only: bool = False,
    seed: int = 0,
) -> Outcome:
    """Run the flow to its outcome. Starts a Prefect server for the time of the run if none is up."""
    domains.get(domain)
    checkout = datasets.pipeline().parent
    as_of = (as_of or datetime.now(UTC)).astimezone(UTC)
    with prefect(settings):
        if str(checkout) not in sys.path:
            sys.path.insert(0, str(checkout))
        from flows.retrain import retrain as flow
        from prefect.logging.handlers import APILogWorker

        with datasets.exclusively(settings, domain):
            outcome_file(settings, domain).unlink(missing_ok=True)
            work = datasets.work_folder(settings, domain)
            work.mkdir(parents=True, exist_ok=True)
            sweep(work)
            _end_stale_runs(domain)
        print(f"Retraining {domain} on {source} as of {as_of:%Y-%m-%d %H:%M} UTC", file=sys.stderr, flush=True)
        arguments = {"as_of": as_of, "recalibrate_only": recalibrate_only, "seed": seed}
        try:
            _bounded(settings, domain, lambda: flow(domain, source, **arguments, return_state=True))
        finally:
            APILogWorker.drain_all()  # the server may be about to go
        outcome = Outcome.read(settings, domain)
        if outcome is None:
            raise HeadgateError(f"The run of {domain} ended without an outcome; the champion was left as it is.")
        return outcome


@contextmanager
def prefect(settings: Settings) -> Iterator[None]:
    """A Prefect API for this process: yours, the local server that is up, or one started for now."""
    os.environ.setdefault("PREFECT_HOME", str(settings.home / "prefect"))
    if settings.prefect_api:
        yield
        return
    address = running(settings).get("prefect")
    if address:
        os.environ["PREFECT_API_URL"] = f"{address}/api"
        yield
        return
    server = prefect_server(settings)
    print("Starting a Prefect server for this run …", file=sys.stderr, flush=True)
    with up(settings, [server]):
        os.environ["PREFECT_API_URL"] = server.health.removesuffix("/health")
        try:
            yield
        finally:
            os.environ.pop("PREFECT_API_URL", None)


def _bounded(settings: Settings, domain: str, call: Any) -> None:
    """Call the flow; once its outcome is written it has `CLOSING_SECONDS` to return. Its errors are raised."""
    ended: list[State | BaseException] = []

    def run() -> None:
        try:
            ended.append(call())
        except BaseException as error:
            ended.append(error)

    thread = threading.Thread(target=run, name="retrain", daemon=True)
    thread.start()
    deadline = None
    while thread.is_alive():
        thread.join(0.2)
        if deadline is None and outcome_file(settings, domain).is_file():
            deadline = time.monotonic() + CLOSING_SECONDS
        if deadline is not None and time.monotonic() > deadline:
            print("Prefect does not answer any more; the outcome stands all the same.", file=sys.stderr)
            return
    if not ended or Outcome.read(settings, domain) is not None:
        return
    error = ended[0] if isinstance(ended[0], BaseException) else ended[0].result(raise_on_failure=False)
    if isinstance(error, BaseException):
        raise error


def _end_stale_runs(domain: str) -> None:
    """End the runs that a killed process left RUNNING. The caller holds the domain's lock, so none is alive."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowRunFilter
    from prefect.states import Crashed

    only = FlowRunFilter.model_validate(
        {"state": {"type": {"any_": ["RUNNING", "PENDING"]}}, "name": {"like_": f"{domain} "}}
    )
    with get_client(sync_client=True) as client:
        for stale in client.read_flow_runs(flow_run_filter=only):
            if stale.deployment_id is None:
                client.set_flow_run_state(stale.id, Crashed(message="Its process is gone."), force=True)
