"""The daily path, for every domain: read this file first.

    snapshot → validate → train → calibrate → evaluate   →   judge → record → register → promote

The first five are the functions of `headgate.stages`, which `dvc.yaml` runs too; the rest happens only here. Tasks hand
each other folders, never data. Whatever goes wrong, the champion stays.
"""

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prefect import flow, task
from prefect.artifacts import create_markdown_artifact
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed, Failed

from headgate import parallel, settings, stages
from headgate.contract.checks import Verdict
from headgate.data import datasets, sources
from headgate.decisions import alerts
from headgate.decisions.learning import LOG, from_log
from headgate.decisions.shadow import shadow_check
from headgate.domain import Domain, Request, get_domain
from headgate.errors import DataRefused, HeadgateError
from headgate.gate.judge import judge_candidate
from headgate.gate.matured import worsened
from headgate.gate.promotion import waits
from headgate.orchestration.due import days_due
from headgate.orchestration.outcome import Outcome, begin, days_judged, step
from headgate.registry import changes, registrar, versions
from headgate.registry.ledger import Ledger
from headgate.registry.register import candidate_run, log_data, register_version
from headgate.registry.registrar import Decides

#: Who acts, for the ledger.
WHO = "the retrain flow"


def _named() -> str:
    """What a run is called: its domain and its instant."""
    asked = flow_run.parameters
    return f"{asked['domain']} {asked['as_of'] or 'what is due'}"


@flow(
    name="retrain",
    flow_run_name=_named,
    validate_parameters=True,
    task_runner=parallel.task_runner(settings.load().dask),  # for the fits alone: the tasks below are called
)
def retrain(
    domain: str,
    source: str,
    as_of: datetime | None = None,
    recalibrate_only: bool = False,
    seed: int = 0,
    outcomes: str | None = None,
) -> State:
    """Retrain a domain on all that was known at one instant, and promote the version if the gate lets it through.

    Args:
        domain: which one, for example adclicks.
        source: a folder or an s3://bucket/prefix with its raw files; log is the decision log.
        as_of: nothing that became known after this instant is used. If left out: midnight UTC of the day on which the
            run was to start, after the days that were missed before it.
        recalibrate_only: keep the champion's model and only set its thresholds anew.
        seed: of everything random in training.
        outcomes: with the source log, a folder or an s3://bucket/prefix with what came of the decisions.
    """
    here = settings.load()
    chosen = get_domain(domain)
    if as_of is None:
        asked = {"source": source, "recalibrate_only": recalibrate_only, "seed": seed, "outcomes": outcomes}
        return due(here, domain, asked)
    source = from_log(here, chosen, outcomes) if source == LOG else source
    source = sources.absolute(source)
    request = Request(source, as_of.astimezone(UTC), seed=seed)
    with datasets.exclusively(here, domain):
        begin(here, domain, request.as_of)
        outcome = run(here, chosen, request, recalibrate_only)
        outcome.write(here)  # before another run may begin, and take this outcome for its own
    return _state(outcome)


def due(here: settings.Settings, domain: str, asked: dict[str, Any]) -> State:
    """Every day that is due, oldest first, each as a run of its own. After one that ends in a fault the newer wait."""
    state: State = Completed(name="NothingDue", message=f"{domain}: the day was judged already.")
    for as_of in days_due(here, get_domain(domain), flow_run.scheduled_start_time):
        ended = retrain(domain, as_of=as_of, **asked, return_state=True)
        state = State(type=ended.type, name=ended.name, message=ended.message)
        if as_of.date() not in days_judged(here, domain):
            break
    return state


def run(here: settings.Settings, domain: Domain, request: Request, recalibrate_only: bool) -> Outcome:
    """The path with its second chance: a refused model's champion, with new thresholds, is a candidate too."""
    decides = registrar.decides(here, domain.name, request.as_of)
    if recalibrate_only:
        wanted = decides.now or versions.find(versions.client(here), domain.name, versions.CHAMPION)
        request = request.recalibrating(versions.fetch(wanted, here))
    outcome = candidate(here, domain, request, decides)
    if outcome.result == "refused" and decides.now and not request.base:
        again = request.recalibrating(versions.fetch(decides.now, here))
        print("Refused; trying the champion's model with new thresholds …", file=sys.stderr, flush=True)
        return outcome.then(candidate(here, domain, again, decides))
    return outcome


def candidate(here: settings.Settings, domain: Domain, request: Request, decides: Decides) -> Outcome:
    """One candidate, from the raw files to a version with its verdict."""
    registry = versions.client(here)
    work = datasets.prepare(here, domain.name, request)
    with candidate_run(registry, here, domain, request) as run_id:
        try:
            take_snapshot(domain, work, request)
            validate(domain, work)
            train(domain, work)
            calibrate(domain, work)
            evaluate(domain, work)
        except DataRefused as refusal:
            log_data(registry, run_id, work, None)
            registry.set_tag(run_id, versions.TAG_RULING, "data refused")
            return Outcome.data_refused(domain.name, request, run_id, str(refusal))
        held_against = [versions.fetch(one, here) if one else None for one in (decides.now, decides.last_week)]
        verdict = judged(domain, work, *held_against)
        if decides.now and held_against[0]:
            matured(here, domain, work, request, decides.now, held_against[0])
        record(here, domain, run_id, work)
        version = register(domain, here, run_id, work, request, verdict)
        result, waits = promote(here, domain, version, verdict)
        return Outcome.judged(domain.name, request, run_id, version, verdict, result, waits)


def _passing(task: Any, run: Any, state: State) -> bool:
    """Whether a fault may pass by itself. What a user must mend does not."""
    return not isinstance(state.result(raise_on_failure=False), HeadgateError)


RETRIED: dict[str, Any] = {"retries": 2, "retry_delay_seconds": 5, "retry_condition_fn": _passing}


@task(name="snapshot", **RETRIED)
def take_snapshot(domain: Domain, work: Path, request: Request) -> Path:
    """All that was known at the as-of."""
    with step("snapshot"):
        return stages.snapshot(domain, work, request)


@task
def validate(domain: Domain, work: Path) -> Path:
    """The profile, and what is expected of it."""
    with step("validate"):
        return stages.validate(domain, work)


@task
def train(domain: Domain, work: Path) -> Path:
    """The model and its baselines."""
    with step("train"):
        return stages.train(domain, work)


@task
def calibrate(domain: Domain, work: Path) -> Path:
    """Thresholds or intervals, with their certificate."""
    with step("calibrate"):
        return stages.calibrate(domain, work)


@task
def evaluate(domain: Domain, work: Path) -> Path:
    """The scorecard; then the bundle is sealed."""
    with step("evaluate"):
        stages.evaluate(domain, work)
        stages.seal(work)
        return work / "evaluate"


@task(name="judge")
def judged(domain: Domain, work: Path, champion: Path | None, last_week: Path | None) -> Verdict:
    """The gate's verdict, against the champion on the same rows, and against who decided a week ago."""
    with step("judge"):
        return judge_candidate(domain, work, champion, last_week)


@task
def matured(
    here: settings.Settings, domain: Domain, work: Path, request: Request, champion: versions.Version, bundle: Path
) -> None:
    """Tell people where labels that came since show the champion to be worse than its gate saw."""
    ledger = Ledger(here)
    known = alerts.told(ledger.entries(domain.name))
    for metric, words in worsened(bundle, work / "champion", domain.metrics, domain.limits).items():
        key = f"matured:{champion.number}:{metric}:{request.as_of:%Y-%m-%d}"
        if key not in known:
            said = f"Version {champion.number}, the champion: {words}"
            alerts.tell(here, ledger, alerts.Alert(domain.name, "matured labels", key, said))


@task(**RETRIED)
def record(here: settings.Settings, domain: Domain, run_id: str, work: Path) -> dict[str, Any]:
    """Commit and push the run's data under DVC, and log the lock that leads back to it."""
    with step("record"), datasets.exclusively(here, "datasets", wait=datasets.LOCK_SECONDS):
        lock = datasets.record(here, domain.name, ["snapshot", *stages.STAGES])
        log_data(versions.client(here), run_id, work, lock)
        return lock


@task(**RETRIED)
def register(
    domain: Domain, here: settings.Settings, run_id: str, work: Path, request: Request, verdict: Verdict
) -> versions.Version:
    """Make the candidate a version that a reviewer can decide on from the MLflow UI alone."""
    with step("register"):
        version = register_version(versions.client(here), here, domain, run_id, work, request, verdict)
        create_markdown_artifact(verdict.markdown(f"{domain.title}, version {version.number}"), key="verdict")
        return version


@task(**RETRIED)
def promote(here: settings.Settings, domain: Domain, version: versions.Version, verdict: Verdict) -> tuple[str, str]:
    """Let the version decide, if the gate, the domain's own rule and no hold speak against it; the result and why."""
    with step("promote"):
        registry, ledger = versions.client(here), Ledger(here)
        changes.record_verdict(ledger, version, verdict.ruling, WHO, verdict.reasons)
        if verdict.ruling == "refused":
            return "refused", ""
        asks = bool(domain.limits.shadow_decisions)
        shadow = shadow_check(here, domain, str(version.number)) if asks else None  # before the lease: it takes long
        with changes.change_session(registry, ledger, domain.name) as at:
            registrar.reconcile(at)  # a person's move since the run began comes first
            now = at.ledger_state()
            if now.champion == version.number:
                return "promoted", ""
            if why := waits(domain, version.number, verdict, now, shadow):
                changes.challenge(at, version, who=WHO, why=why)
                return "review", why
            changes.make_champion(at, version, who=WHO, why="Every check of the gate that could be judged passed.")
            return "promoted", ""


def _state(outcome: Outcome) -> State:
    """A state that people see for what it is."""
    if outcome.result == "promoted":
        return Completed(name="Promoted", message=outcome.words)
    if outcome.result == "review":
        return Completed(name="Review", message=outcome.words)
    name = "DataRefused" if outcome.result == "data refused" else "Refused"
    return Failed(name=name, message=outcome.words)
