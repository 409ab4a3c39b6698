"""snapshot · validate · train · calibrate · evaluate, as plain functions over the folders of one run.

The same function is a Prefect task (`flows/retrain.py`), a DVC stage (`dvc.yaml`, through `headgate run`) and a unit
under test. Each fills an empty folder that takes its place when the stage is whole: a killed run leaves nothing
half-made, and running a stage again does the same again.
"""

from collections.abc import Callable
from pathlib import Path

from headgate.contract.checks import Verdict
from headgate.data.profile import check_profile
from headgate.domain import Domain, Request
from headgate.errors import DataRefused, HeadgateError
from headgate.files import atomic_folder, write_json
from headgate.registry import bundles


def snapshot(domain: Domain, work: Path, request: Request) -> Path:
    """All that was known at one as-of instant, as immutable files."""
    with atomic_folder(work / "snapshot") as out:
        domain.snapshot(request, out)
    return work / "snapshot"


def validate(domain: Domain, work: Path) -> Path:
    """The snapshot's profile, and what its expectations say of it. Raises DataRefused, with both kept to look at."""
    with atomic_folder(work / "validate") as out:
        profile = domain.profile(work / "snapshot")
        verdict = Verdict(tuple(check_profile(profile, domain.expectations)))
        write_json(out / "checks.json", verdict.to_dict())
        for name, table in profile.items():
            table.write_csv(out / f"{name}.csv")
    if verdict.ruling == "refused":
        raise DataRefused("The data is refused. " + " ".join(verdict.reasons))
    return work / "validate"


def train(domain: Domain, work: Path) -> Path:
    """A model, or the base's model once more, and the rows that it was and will be judged on."""
    with atomic_folder(work / "train") as out:
        domain.train(work, out)
    return work / "train"


def calibrate(domain: Domain, work: Path) -> Path:
    """Thresholds or intervals with their certificate, joined to the model: `calibrate/bundle`."""
    with atomic_folder(work / "calibrate") as out:
        domain.calibrate(work, out)
    return work / "calibrate"


def evaluate(domain: Domain, work: Path) -> Path:
    """The scorecard, the per-unit values behind it, and the golden answers."""
    with atomic_folder(work / "evaluate") as out:
        domain.evaluate(work / "calibrate" / "bundle", work, out)
    return work / "evaluate"


#: The stages after the snapshot, in their order. `flows/retrain.py` and `dvc.yaml` follow it; a test holds them to it.
STAGES: dict[str, Callable[[Domain, Path], Path]] = {
    "validate": validate,
    "train": train,
    "calibrate": calibrate,
    "evaluate": evaluate,
}


def seal(work: Path) -> str:
    """Put together what a version is, `work/bundle`, and return its id."""
    evaluated = work / "evaluate"
    parts = [work / "calibrate" / "bundle", evaluated / "scorecard.json", evaluated / "golden.parquet"]
    for part in parts:
        if not part.exists():
            raise HeadgateError(f"{part} is missing: run the stages before it, {', '.join(STAGES)}.")
    return bundles.seal_bundle(parts, work / "bundle")
