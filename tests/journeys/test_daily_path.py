"""The daily path as a user lives it, on one run of the flow: a first champion, a bad day, answers.

At night also the same day again and new thresholds alone. Wherever tests run, tests/journeys/test_killed_flow.py runs
a day of the toy again, and tests/domains/adclicks/stages sets new thresholds for the same net.
"""

import subprocess
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from headgate import settings
from headgate.contract.slots import Slots
from headgate.domain import get_domain
from headgate.operations import batch
from headgate.operations.status import read_status
from headgate.orchestration.outcome import Outcome
from headgate.registry import versions
from headgate.serving.follower import Follower
from headgate.settings import Settings

AS_OF = datetime(2026, 1, 22, tzinfo=UTC)
ROOT = Path(__file__).parents[2]
ADCLICKS = get_domain("adclicks")


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A state folder of its own, and a real Prefect server for as long as this module runs."""
    from prefect.testing.utilities import prefect_test_harness

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEADGATE_HOME", str(tmp_path_factory.mktemp("state")))
        patch.syspath_prepend(str(ROOT))
        with prefect_test_harness(server_startup_timeout=120):
            yield settings.load()


def _retrain(here: Settings, source: Path, *, recalibrate_only: bool = False) -> tuple[Outcome, str]:
    """Run the flow; its outcome, and the name of the state that it ended in."""
    from flows.retrain import retrain

    state = retrain("adclicks", str(source), AS_OF, recalibrate_only, return_state=True)
    outcome = Outcome.read(here, "adclicks")
    assert outcome is not None
    return outcome, state.name


@pytest.fixture(scope="module")
def first(here: Settings, calm: Path) -> tuple[Outcome, str]:
    return _retrain(here, calm)


def _champion(here: Settings) -> versions.Version:
    return versions.find(versions.client(here), "adclicks", "champion")


def test_a_first_version_is_judged_and_promoted(here: Settings, first: tuple[Outcome, str]) -> None:
    outcome, state = first
    assert (outcome.result, outcome.exit_code, state) == ("promoted", 0, "Promoted"), outcome.words
    champion = _champion(here)
    assert (champion.number, champion.stage) == (1, "Production")
    assert champion.tags[versions.TAG_RULING] == "passed"
    assert champion.tags[versions.TAG_DATA]


def test_the_version_page_alone_tells_why(here: Settings, first: tuple[Outcome, str]) -> None:
    registry = versions.client(here)
    described = registry.get_model_version("adclicks", "1").description
    assert len(described) <= 5_000
    assert "budget: certificate" in described
    assert f"plots/ivr_fpr.png&run_uuid={_champion(here).run_id}" in described
    logged = {
        f"{top.path}/{f.path.rsplit('/')[-1]}"
        for top in registry.list_artifacts(_champion(here).run_id)
        if top.is_dir
        for f in registry.list_artifacts(_champion(here).run_id, top.path)
    }
    assert {"plots/ivr_fpr.png", "data/dvc.lock", "scorecard/scorecard.csv", "bundle/manifest.json"} <= logged


@pytest.mark.nightly
def test_the_same_day_again_makes_no_second_version(here: Settings, first: tuple[Outcome, str], calm: Path) -> None:
    again, _ = _retrain(here, calm)
    assert (again.result, again.version, again.bundle) == ("promoted", first[0].version, first[0].bundle)
    assert len(versions.all_versions(versions.client(here), "adclicks")) == 1


def test_a_day_without_labels_is_refused_and_changes_nothing(
    here: Settings, first: tuple[Outcome, str], calm: Path, tmp_path: Path
) -> None:
    source = tmp_path / "outage"
    hours = pl.col("event_time").is_between(
        datetime(2026, 1, 20, 12, tzinfo=UTC), datetime(2026, 1, 20, 18, tzinfo=UTC)
    )
    unlabelled = pl.read_parquet(calm / "clicks" / "2026-01-20.parquet").filter(hours)
    for path in calm.rglob("*.parquet"):
        target = source / path.relative_to(calm)
        target.parent.mkdir(parents=True, exist_ok=True)
        frame = pl.read_parquet(path)
        if path.parent.name == "purchases":
            frame = frame.join(unlabelled, on="click_id", how="anti")
        frame.write_parquet(target)
    before = _champion(here)
    outcome, state = _retrain(here, source)
    assert (outcome.exit_code, state) == (4, "DataRefused")
    assert "2026-01-20 12:00" in outcome.words
    assert _champion(here) == before
    assert len(versions.all_versions(versions.client(here), "adclicks")) == 1


@pytest.mark.nightly
def test_new_thresholds_for_the_same_net_are_a_candidate(
    here: Settings, first: tuple[Outcome, str], calm: Path
) -> None:
    outcome, _ = _retrain(here, calm, recalibrate_only=True)
    assert outcome.recalibrated
    assert outcome.result in ("promoted", "review", "refused")
    registry = versions.client(here)
    one, other = (versions.fetch(versions.find(registry, "adclicks", str(n)), here) for n in (1, outcome.version))
    assert (one / "model.onnx").read_bytes() == (other / "model.onnx").read_bytes()


def test_the_data_behind_a_version_comes_back(here: Settings, first: tuple[Outcome, str], tmp_path: Path) -> None:
    folders, target = batch.checkout(here, "adclicks", "1", tmp_path / "data")
    assert {folder.name for folder in folders} == {"snapshot", "validate", "train", "calibrate", "evaluate"}
    assert (target / "snapshot" / "raw" / "clicks" / "2026-01-20.parquet").is_file()


def test_any_version_decides_and_is_scored_on_any_data(
    here: Settings, first: tuple[Outcome, str], calm: Path, tmp_path: Path
) -> None:
    for path in calm.rglob("*.parquet"):
        if path.stem > "2026-01-12":
            link = tmp_path / "days" / path.relative_to(calm)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(path)
    decided = batch.decide_folder(here, ADCLICKS, "champion", tmp_path / "days", tmp_path / "decisions.parquet")
    frame = pl.read_parquet(tmp_path / "decisions.parquet")
    assert frame.columns == ["click_id", "score", "slice", "threshold", "invalid"]
    assert (len(frame), int(frame["invalid"].sum())) == (decided.rows, decided.adverse)
    invalid = frame.filter(pl.col("invalid"))
    assert (invalid["score"] >= invalid["threshold"]).all()
    scored = batch.evaluate_folder(here, ADCLICKS, "1", tmp_path / "days", datetime(2026, 1, 20, tzinfo=UTC))
    assert {line["model"] for line in scored.scorecard} == {"net", "lightgbm", "logistic", "rule"}


def test_mlflow_runs_the_version_by_itself(here: Settings, first: tuple[Outcome, str]) -> None:
    import mlflow

    bundle = versions.fetch(_champion(here), here)
    golden = pl.read_parquet(bundle / "golden.parquet")
    answers = [name for name in golden.columns if name.startswith("expected_")]
    versions.client(here)
    model = mlflow.pyfunc.load_model("models:/adclicks@champion")
    decided = pl.from_pandas(model.predict(golden.drop(answers).to_pandas()))
    assert decided["invalid"].to_list() == golden["expected_invalid"].to_list()


def test_serving_takes_the_champion_from_the_registry(here: Settings, first: tuple[Outcome, str]) -> None:
    slots = Slots()
    Follower(slots, [ADCLICKS], here).look()
    loaded = slots.champion("adclicks")
    assert loaded is not None
    assert loaded.version == _champion(here).number


def test_status_says_what_decides(here: Settings, first: tuple[Outcome, str]) -> None:
    domain = next(one for one in read_status(here, [get_domain("adclicks")]).domains if one["name"] == "adclicks")
    assert domain["champion"]["version"] == _champion(here).number
    assert "champion    version" in read_status(here, [get_domain("adclicks")]).words()


def test_without_a_registry_that_answers_nothing_runs(calm: Path, tmp_path: Path, here: Settings) -> None:
    from headgate.errors import HeadgateError

    with pytest.raises(HeadgateError, match="does not answer"):
        versions.client(replace(here, tracking_uri="http://127.0.0.1:9"))
    versions.client(here)


def test_a_checkout_stays_clean(first: tuple[Outcome, str]) -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("no git checkout, so nothing could tell")
    git = subprocess.run(["git", "status", "--porcelain"], cwd=ROOT, capture_output=True, text=True, check=True)
    made = [line for line in git.stdout.splitlines() if "dvc.lock" in line or ".dvc/" in line or "state/" in line]
    assert made == []
