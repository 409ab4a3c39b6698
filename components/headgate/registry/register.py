"""Make a judged candidate a version that a reviewer can decide on from the MLflow UI alone.

Every judged candidate becomes a version, a refused one too. What is registered is found again by the bundle's id, so a
run that was killed half way, or made twice, makes no second version.
"""

import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import yaml

from headgate.contract.checks import Verdict
from headgate.data.datasets import LOCK_SECONDS, data_version, exclusively
from headgate.domain import Domain, Request
from headgate.files import read_json
from headgate.registry import versions
from headgate.registry.bundles import bundle_id
from headgate.registry.golden import EXPECTED, GOLDEN
from headgate.registry.parts import log_bundle, upload
from headgate.registry.versions import Version
from headgate.servers import artifact_root
from headgate.settings import Settings

if TYPE_CHECKING:
    from mlflow import MlflowClient

#: MLflow's limit on a version's description.
DESCRIPTION = 5_000

#: Marks our runs, so that those of killed processes can be ended.
TAG_RUN = "headgate.run"


@contextmanager
def candidate_run(registry: "MlflowClient", settings: Settings, domain: Domain, request: Request) -> Iterator[str]:
    """An MLflow run of `domain`'s experiment; ends FINISHED, or FAILED on an error. Runs left behind end KILLED,
    and the models that they had not logged whole end FAILED.

    The caller holds the domain's lock, so a RUNNING run of ours has no process any more.
    """
    import mlflow

    experiment = registry.get_experiment_by_name(domain.name)
    root = f"{artifact_root(settings)}/{domain.name}"
    identity = experiment.experiment_id if experiment else registry.create_experiment(domain.name, root)
    for stale in registry.search_runs([identity], f"tags.`{TAG_RUN}` = 'retrain' and attributes.status = 'RUNNING'"):
        for model in registry.search_logged_models([identity], f"source_run_id = '{stale.info.run_id}'"):
            if model.status == "PENDING":
                registry.finalize_logged_model(model.model_id, "FAILED")
        registry.set_terminated(stale.info.run_id, "KILLED")
    kind = "recalibrate" if request.base else "retrain"
    with mlflow.start_run(
        experiment_id=identity,
        run_name=f"{kind} {request.as_of:%Y-%m-%d %H:%M}",
        tags={TAG_RUN: "retrain", versions.TAG_AS_OF: request.as_of.isoformat()},
    ) as started:
        yield started.info.run_id


def log_data(registry: "MlflowClient", run_id: str, work: Path, lock: dict[str, Any] | None) -> None:
    """Log what was validated and, once recorded, the slice of `dvc.lock` that leads back to the data."""
    if (work / "validate").is_dir():
        registry.log_artifacts(run_id, str(work / "validate"), "data")
    if lock is not None:
        registry.log_text(run_id, yaml.safe_dump(lock, sort_keys=True), "data/dvc.lock")
        registry.set_tag(run_id, versions.TAG_DATA, data_version(lock))


def register_version(
    registry: "MlflowClient",
    settings: Settings,
    domain: Domain,
    run_id: str,
    work: Path,
    request: Request,
    verdict: Verdict,
) -> Version:
    """Log the candidate in `work` to the run and make it a version with its verdict; the one there is if it has one."""
    identity = bundle_id(work / "bundle")
    registry.log_dict(run_id, verdict.to_dict(), "verdict.json")
    registry.log_text(run_id, verdict.markdown(domain.title), "verdict.md")
    pictures = work / "plots"
    pictures.mkdir(exist_ok=True)
    domain.plots(work, pictures)
    registry.log_artifacts(run_id, str(pictures), "plots")
    _log_scores(registry, run_id, work)
    registry.set_tag(run_id, versions.TAG_RULING, verdict.ruling)
    registry.set_tag(run_id, versions.TAG_BUNDLE, identity)
    with exclusively(settings, "gc", wait=LOCK_SECONDS):  # no part of a version goes before the version is there
        existing = [v for v in versions.all_versions(registry, domain.name) if v.bundle == identity]
        if existing:
            upload(registry, settings, work / "bundle")  # what its run logged is there, its parts may be gone
            registry.set_model_version_tag(domain.name, str(existing[0].number), versions.TAG_RULING, verdict.ruling)
            return existing[0]
        if not registry.search_registered_models(filter_string=f"name = '{domain.name}'"):
            registry.create_registered_model(domain.name, description=domain.title)
        log_bundle(registry, settings, run_id, work / "bundle")
        source, model_id = _log_model(run_id, work / "bundle")
        made = registry.create_model_version(
            domain.name,
            source,
            run_id=run_id,
            model_id=model_id,
            tags={
                versions.TAG_BUNDLE: identity,
                versions.TAG_RULING: verdict.ruling,
                versions.TAG_AS_OF: request.as_of.isoformat(),
                versions.TAG_DATA: registry.get_run(run_id).data.tags.get(versions.TAG_DATA, ""),
            },
            description=describe(domain, run_id, pictures, verdict, request),
        )
        return versions.find(registry, domain.name, str(made.version))


def describe(domain: Domain, run_id: str, pictures: Path, verdict: Verdict, request: Request) -> str:
    """The verdict in words for the version page: reasons, then as many checks as its limit allows, then the plots."""
    shown = "\n".join(
        f"![{path.stem}](get-artifact?path=plots/{path.name}&run_uuid={run_id})"
        for path in sorted(pictures.glob("*.png"))
    )
    kind = "The champion's model with new thresholds" if request.base else "Retrained"
    head = f"{kind} on what was known at {request.as_of:%Y-%m-%d %H:%M %Z}.\n\n"
    tail = "\n\nThe whole verdict, tables and data version: the source run's artifacts.\n"
    summary = _cut(verdict.summary(domain.title), DESCRIPTION // 2)
    start = f"{head}{summary}\n{shown}\n\n"
    return start + _cut(verdict.table(), DESCRIPTION - len(start) - len(tail)) + tail


def _cut(text: str, room: int) -> str:
    """`text`, or as many of its whole lines as there is `room` for, in characters."""
    if len(text) <= room:
        return text
    return text[: room - 2].rsplit("\n", 1)[0] + "\n…"


def _log_scores(registry: "MlflowClient", run_id: str, work: Path) -> None:
    """The scorecard as a table, and its overall lines as metrics of the run; a tag says which model's are its own."""
    card = read_json(work / "evaluate" / "scorecard.json")
    if card:
        registry.set_tag(run_id, versions.TAG_MODEL, card[0]["model"])
    for line in card:
        if line["slice"] == "all" and line["value"] is not None:
            registry.log_metric(run_id, f"{line['model']}/{line['metric']}", line["value"])
    with tempfile.TemporaryDirectory() as folder:
        for path in (work / "evaluate").glob("*.json"):
            registry.log_artifact(run_id, str(path), "scorecard")
        table = Path(folder) / "scorecard.csv"
        pl.DataFrame(card, infer_schema_length=None).write_csv(table)
        registry.log_artifact(run_id, str(table), "scorecard")
    calibration = work / "calibrate" / "calibration.json"
    if calibration.is_file():
        registry.log_artifact(run_id, str(calibration), "scorecard")


def _log_model(run_id: str, bundle: Path) -> tuple[str, str]:
    """Log a pyfunc model that loads the bundle which the run logged; its URI and id."""
    import mlflow

    inputs = pl.read_parquet(bundle / GOLDEN)
    columns = [name for name in inputs.columns if not name.startswith(EXPECTED)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from mlflow.models import infer_signature

        sample = inputs.select(columns).head(2).to_pandas()
        answers = inputs.select(pl.exclude(columns)).head(2).rename(lambda name: name.removeprefix(EXPECTED))
        signature = infer_signature(sample, answers.with_columns(pl.selectors.float().fill_null(1.0)).to_pandas())
        info = mlflow.pyfunc.log_model(
            name="model",
            python_model=str(Path(__file__).with_name("pyfunc_model.py")),
            model_config={"run": run_id, "bundle": bundle_id(bundle)},
            pip_requirements=_requirements(),
            signature=signature,
        )
    return info.model_uri, info.model_id


def _requirements() -> list[str]:
    """Headgate and what it asks for, each as it is installed here."""
    from importlib.metadata import requires, version

    from packaging.requirements import Requirement

    asked = [Requirement(line) for line in ("headgate", *(requires("headgate") or ()))]
    there = [one for one in asked if one.marker is None or one.marker.evaluate({"extra": ""})]
    extras = [f"[{','.join(sorted(one.extras))}]" if one.extras else "" for one in there]
    return [f"{one.name}{more}=={version(one.name)}" for one, more in zip(there, extras, strict=True)]
