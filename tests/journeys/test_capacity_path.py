"""Load forecasts on the same rails: a first version, the next day, a planner's change, an outage nobody wrote down."""

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from headgate import settings
from headgate.contract.slots import Slots
from headgate.domain import get_domain
from headgate.domains.capacity.companions.edit import Signature, stretch
from headgate.domains.capacity.model.forecaster import Forecaster
from headgate.domains.capacity.simulated.simulator import simulate
from headgate.domains.capacity.simulated.sizes import LoadSizes
from headgate.operations import batch
from headgate.orchestration.outcome import Outcome
from headgate.registry import versions
from headgate.registry.bundles import card
from headgate.serving.follower import Follower
from headgate.settings import Settings

CAPACITY = get_domain("capacity")
DAYS = 44
AS_OF = datetime(2026, 2, 16, tzinfo=UTC)  # 42 days after the first


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A state folder of its own, and a real Prefect server for as long as this module runs."""
    from prefect.testing.utilities import prefect_test_harness

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEADGATE_HOME", str(tmp_path_factory.mktemp("state")))
        patch.syspath_prepend(str(Path(__file__).parents[2]))
        with prefect_test_harness(server_startup_timeout=120):
            yield settings.load()


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("load") / "raw"
    simulate(out, LoadSizes(days=DAYS, regions=1, services=2, step=900), seed=5)
    return out


@pytest.fixture(scope="module")
def first(here: Settings, source: Path) -> Outcome:
    return _retrain(here, source, AS_OF)


def _retrain(here: Settings, source: Path, as_of: datetime) -> Outcome:
    from flows.retrain import retrain

    retrain("capacity", str(source), as_of, return_state=True)
    outcome = Outcome.read(here, "capacity")
    assert outcome is not None
    return outcome


def _forecaster(here: Settings, wanted: str) -> Forecaster:
    return Forecaster(versions.fetch(versions.find(versions.client(here), "capacity", wanted), here))


def test_the_first_version_is_promoted_and_answers(here: Settings, first: Outcome) -> None:
    assert (first.result, first.version) == ("promoted", 1), first.words
    slots = Slots()
    Follower(slots, [CAPACITY], here).look()
    loaded = slots.champion("capacity")
    assert loaded is not None, slots.problem("capacity")
    answers = loaded.predictor.decide(
        pl.DataFrame({"series": ["eu-central/home/requests"], "time": [AS_OF + timedelta(days=9)]})
    )
    assert answers["q05"][0] < answers["q50"][0] < answers["q95"][0]


def test_fits_are_tasks_of_the_run_in_prefect(here: Settings, first: Outcome) -> None:
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        ran = [run.name.rpartition("-")[0] for run in client.read_task_runs()]
    assert {"snapshot", "train", "fits", "promote"} <= set(ran)


@pytest.mark.nightly
def test_the_next_days_version_is_promoted_against_the_champion(
    here: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of eight series, the fewest units that a comparison judges: of two, the next test waits for review."""
    monkeypatch.setenv("HEADGATE_HOME", str(tmp_path / "state"))
    own = settings.load()
    simulate(tmp_path / "raw", LoadSizes(days=DAYS, regions=2, services=4, step=900), seed=5)
    assert _retrain(own, tmp_path / "raw", AS_OF).result == "promoted"
    second = _retrain(own, tmp_path / "raw", AS_OF + timedelta(days=2))
    assert (second.result, second.version) == ("promoted", 2), second.words
    assert versions.find(versions.client(own), "capacity", "previous").number == 1


def test_a_stretched_sale_is_in_the_next_version_and_only_there(
    here: Settings, source: Path, first: Outcome, tmp_path: Path
) -> None:
    planned = tmp_path / "planned"
    shutil.copytree(source, planned)
    sale = next(e for e in _forecaster(here, "1").calendar if e.kind == "sale" and e.span("UTC")[0] > AS_OF)
    stretch(planned, sale.event, Signature("ana", "it runs on", AS_OF - timedelta(hours=1)), length=timedelta(hours=72))
    outcome = _retrain(here, planned, AS_OF)
    assert outcome.version is not None
    begins = sale.span("UTC")[0]
    window = (begins - timedelta(days=1), begins + timedelta(days=5))
    sums = [
        _forecaster(here, wanted).forecast("eu-central/home/requests", *window, step=3600).quantiles[0.5].sum()
        for wanted in ("1", str(outcome.version))
    ]
    assert sums[1] > 1.1 * sums[0]
    assert outcome.result == "review", "another calendar alone: no unexplained jump, but two series show little"
    assert all("show nothing" in why or "planned events" in why.lower() for why in outcome.reasons), outcome.reasons
    registry = versions.client(here)
    bundles = [versions.fetch(versions.find(registry, "capacity", n), here) for n in ("1", str(outcome.version))]
    assert card(bundles[0])["calendar"] != card(bundles[1])["calendar"]


def test_a_dead_feed_is_refused_and_named(here: Settings, source: Path, first: Outcome, tmp_path: Path) -> None:
    dead = tmp_path / "dead"
    shutil.copytree(source, dead)
    for path in sorted((dead / "points").glob("*.parquet"))[-4:]:
        path.unlink()
    outcome = _retrain(here, dead, AS_OF + timedelta(days=2))
    assert outcome.result == "data refused"
    assert "eu-central/home/requests" in outcome.words


def test_a_version_forecasts_and_is_scored_on_days_it_never_saw(
    here: Settings, source: Path, first: Outcome, tmp_path: Path
) -> None:
    decided = batch.decide_folder(here, CAPACITY, "1", source, tmp_path / "out.parquet")
    assert decided.rows == pl.scan_parquet(source / "points" / "*.parquet").select(pl.len()).collect().item()
    scored = batch.evaluate_folder(here, CAPACITY, "1", source, None)
    assert scored.rows == 2 * 96 * 2
    models = {line["model"] for line in scored.scorecard}
    assert models == {"headgate", "profile", "seasonal naive"}
