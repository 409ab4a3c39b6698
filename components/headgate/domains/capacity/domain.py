"""`capacity` as a value of the contract."""

from datetime import datetime
from pathlib import Path
from typing import Any

from headgate.domain import Domain, Imported, Predictor, Request
from headgate.domains.capacity.expectations import EXPECTATIONS
from headgate.domains.capacity.limits import LIMITS
from headgate.domains.capacity.metrics import METRICS
from headgate.domains.capacity.simulate import SCENARIOS, simulate
from headgate.gate.checks import Check
from headgate.serving.slots import Slots


def _snapshot(request: Request, out: Path) -> None:
    from headgate.domains.capacity.snapshot import take

    take(request, out)


def _profile(snapshot: Path) -> Any:
    from headgate.domains.capacity.profile import profile

    return profile(snapshot)


def _train(work: Path, out: Path) -> None:
    from headgate.domains.capacity.train import train

    train(work, out)


def _calibrate(work: Path, out: Path) -> None:
    from headgate.domains.capacity.calibrate import step

    step(work, out)


def _evaluate(bundle: Path, work: Path, out: Path) -> None:
    from headgate.domains.capacity.evaluate import step

    step(bundle, work, out)


def _judge(work: Path, champion: Path | None) -> list[Check]:
    from headgate.domains.capacity.judge import judge

    return judge(work, champion)


def _decide(bundle: Path, on: Path, out: Path) -> tuple[int, int]:
    from headgate.domains.capacity.batch import decide

    return decide(bundle, on, out)


def _score(bundle: Path, on: Path, since: datetime | None) -> tuple[int, list[dict[str, Any]], dict[str, Any]]:
    from headgate.domains.capacity.batch import score

    return score(bundle, on, since)


def _plots(work: Path, out: Path) -> None:
    from headgate.domains.capacity.plots import plots

    plots(work, out)


def _load(bundle: Path) -> Predictor:
    from headgate.domains.capacity.forecaster import Forecaster

    return Forecaster(bundle)


def _routes(slots: Slots) -> list[Any]:
    from headgate.domains.capacity.routes import routes

    return routes(slots)


def _bring_in(source: str, out: Path, **asked: Any) -> Imported:
    from headgate.domains.capacity.importing import bring_in

    return bring_in(source, out, **asked)


CAPACITY = Domain(
    name="capacity",
    title="Load forecasts",
    snapshot=_snapshot,
    profile=_profile,
    expectations=EXPECTATIONS,
    train=_train,
    calibrate=_calibrate,
    evaluate=_evaluate,
    judge=_judge,
    plots=_plots,
    metrics=METRICS,
    limits=LIMITS,
    load=_load,
    decide=_decide,
    noticed="outside their 90 % band",
    score=_score,
    routes=_routes,
    simulate=simulate,
    scenarios=SCENARIOS,
    demo={"days": 70, "regions": 2, "services": 3, "weekly_years": 6},
    bring_in=_bring_in,
)
