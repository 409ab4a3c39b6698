"""`adclicks` as a value of the contract, with its limits in one place."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from headgate.domain import Domain, Imported, Predictor
from headgate.domains.adclicks.expectations import EXPECTATIONS, profile
from headgate.domains.adclicks.judge import judge
from headgate.domains.adclicks.limits import LIMITS
from headgate.domains.adclicks.metrics import METRICS
from headgate.domains.adclicks.simulate import SCENARIOS, simulate
from headgate.domains.adclicks.snapshot import take
from headgate.errors import UsageError
from headgate.serving.slots import Slots


def _train(work: Path, out: Path) -> None:
    from headgate.domains.adclicks.train import train

    train(work, out)


def _calibrate(work: Path, out: Path) -> None:
    from headgate.domains.adclicks.calibrate import step

    step(work, out)


def _evaluate(bundle: Path, work: Path, out: Path) -> None:
    from headgate.domains.adclicks.evaluate import step

    step(bundle, work, out)


def _decide(bundle: Path, on: Path, out: Path) -> tuple[int, int]:
    from headgate.domains.adclicks.batch import decide

    return decide(bundle, on, out)


def _score(bundle: Path, on: Path, since: datetime | None) -> tuple[int, list[dict[str, Any]], dict[str, Any]]:
    from headgate.domains.adclicks.batch import score

    return score(bundle, on, since)


def _plots(work: Path, out: Path) -> None:
    from headgate.domains.adclicks.plots import plots

    plots(work, out)


def _load(bundle: Path) -> Predictor:
    from headgate.domains.adclicks.predictor import Predictor as Loaded

    return Loaded(bundle)


def _bring_in(
    source: str, out: Path, *, format: str, mapping: Mapping[str, str], tz: str | None, facts: Mapping[str, str]
) -> Imported:
    from headgate.domains.adclicks.importers import import_clicks

    if facts:
        raise UsageError(f"--set {next(iter(facts))}=… says nothing of clicks: their file says all there is.")
    return import_clicks(Path(source), format=format, out=out, mapping=mapping, tz=tz)


def _routes(slots: Slots) -> list[Any]:
    from headgate.domains.adclicks.routes import routes

    return routes(slots)


ADCLICKS = Domain(
    name="adclicks",
    title="Robotic ad clicks",
    snapshot=take,
    profile=profile,
    expectations=EXPECTATIONS,
    train=_train,
    calibrate=_calibrate,
    evaluate=_evaluate,
    judge=judge,
    plots=_plots,
    metrics=METRICS,
    limits=LIMITS,
    load=_load,
    decide=_decide,
    noticed="invalid",
    score=_score,
    routes=_routes,
    simulate=simulate,
    scenarios=SCENARIOS,
    demo={"days": 21, "clicks_per_day": 60_000},  # enough purchasing users to certify the budget
    bring_in=_bring_in,
)
