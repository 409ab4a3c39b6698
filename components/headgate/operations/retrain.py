"""Run the retrain flow from the command line: with a Prefect server, one at a time, to an outcome that holds."""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from headgate.data import datasets, sources
from headgate.decisions.learning import LOG, from_log
from headgate.domain import Domain
from headgate.errors import HeadgateError, Stopped, UsageError
from headgate.files import sweep
from headgate.orchestration.api import prefect
from headgate.orchestration.outcome import Outcome, begin
from headgate.settings import Settings

if TYPE_CHECKING:
    from prefect.client.schemas.objects import State


#: How long Prefect may take to close a run whose outcome is written: without its server it would wait for minutes.
CLOSING_SECONDS = 30


def run_retrain(
    settings: Settings,
    domain: Domain,
    source: str,
    as_of: datetime | None,
    *,
    outcomes: str | None = None,
    recalibrate_only: bool = False,
    seed: int = 0,
) -> Outcome:
    """Run the flow to its outcome. Starts a Prefect server for the time of the run if none is up.

    With the source "log" it learns from what serving has logged, and from `outcomes`, what came of it.
    """
    name = domain.name
    if outcomes is not None and source != LOG:
        raise UsageError("--outcomes goes with --source log: any other source holds its own.")
    source = from_log(settings, domain, outcomes) if source == LOG else source
    sources.check(source)
    as_of = (as_of or datetime.now(UTC)).astimezone(UTC)
    # The flow holds the domain's lock while it runs. One start at a time: none takes another's outcome for its own.
    with datasets.exclusively(settings, name, suffix="start.lock"), _terminable():
        with datasets.exclusively(settings, name):  # tried before Prefect is imported, which takes seconds
            begin(settings, name, as_of)
            work = datasets.work_folder(settings, name)
            work.mkdir(parents=True, exist_ok=True)
            sweep(work)
        arguments = {"as_of": as_of, "recalibrate_only": recalibrate_only, "seed": seed}
        try:
            with prefect(settings):
                _run(settings, name, source, arguments)
        except KeyboardInterrupt:
            if Outcome.read(settings, name) is None:
                print(file=sys.stderr)  # ends the line of the step that was under way
                raise Stopped("Stopped; the champion stays as it was.") from None
        outcome = Outcome.read(settings, name)
        if outcome is None:
            raise HeadgateError(f"The run of {name} ended without an outcome; the champion was left as it is.")
        return outcome


def _run(settings: Settings, domain: str, source: str, arguments: dict[str, Any]) -> None:
    from flows.retrain import retrain as flow
    from prefect.logging.handlers import APILogWorker

    with datasets.exclusively(settings, domain):
        _end_stale_runs(domain)
    print(f"Retraining {domain} on {source} as of {arguments['as_of']:%Y-%m-%d %H:%M} UTC", file=sys.stderr, flush=True)
    try:
        _bounded(settings, domain, lambda: flow(domain, source, **arguments, return_state=True))
    finally:
        APILogWorker.drain_all()  # the server may be about to go


@contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM end the block as Ctrl-C does, so that what it started is stopped; only a main thread gets signals."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


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
        if deadline is None and Outcome.read(settings, domain) is not None:
            deadline = time.monotonic() + CLOSING_SECONDS
        if deadline is not None and time.monotonic() > deadline:
            print("Prefect does not answer any more; the outcome stands all the same.", file=sys.stderr)
            return
    error = ended[0] if isinstance(ended[0], BaseException) else ended[0].result(raise_on_failure=False)
    # A fault of Prefect's after the outcome was written takes nothing back; one of ours is never after it.
    if isinstance(error, HeadgateError) or (isinstance(error, BaseException) and not Outcome.read(settings, domain)):
        raise error


def _end_stale_runs(domain: str) -> None:
    """End the runs that a killed process left RUNNING. The caller holds the domain's lock, so none is alive.

    It is the first that is asked of Prefect: raises HeadgateError where it does not answer.
    """
    import httpx
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowFilter, FlowRunFilter
    from prefect.states import Crashed

    ours = FlowFilter.model_validate({"name": {"any_": ["retrain"]}})
    unended = FlowRunFilter.model_validate({"state": {"type": {"any_": ["RUNNING", "PENDING"]}}})
    try:
        with get_client(sync_client=True) as client:
            for stale in client.read_flow_runs(flow_filter=ours, flow_run_filter=unended):
                # Not by its name: a run has that only a moment after it was made, and people can change it.
                if stale.deployment_id is None and stale.parameters.get("domain") == domain:
                    client.set_flow_run_state(stale.id, Crashed(message="Its process is gone."), force=True)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        address = os.environ["PREFECT_API_URL"]
        raise HeadgateError(
            f"Prefect at {address} does not answer ({type(error).__name__}). Nothing was changed. "
            "Start it (`headgate servers`), or set PREFECT_API_URL to where it is, as http://127.0.0.1:4200/api."
        ) from error
