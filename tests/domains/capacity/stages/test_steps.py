"""Train, calibrate and evaluate on a small source: the same again from the same, and what a reviewer reads of it."""

import shutil
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from headgate import stages
from headgate.domain import Request, get_domain
from headgate.domains.capacity.companions.calendar import companion_id
from headgate.domains.capacity.limits import METRICS
from headgate.domains.capacity.model import series_model
from headgate.domains.capacity.model.forecaster import Forecaster
from headgate.domains.capacity.model.levels import LEVEL_MODELS
from headgate.domains.capacity.model.origins import Origin, OriginForecast
from headgate.domains.capacity.simulated.simulator import simulate
from headgate.domains.capacity.simulated.sizes import LoadSizes
from headgate.domains.capacity.stages.batch import decide, score
from headgate.domains.capacity.stages.evaluate import FUTURE, baselines
from headgate.domains.capacity.stages.plots import plots
from headgate.errors import DataRefused, UsageError
from headgate.files import read_json
from headgate.registry.bundles import verify

from .. import small
from ..conftest import AS_OF
from ..small import at, history, span

CAPACITY = get_domain("capacity")
NAMES = ["eu-central/home/requests", "eu-central/search/requests"]


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def run(work: Path, request: Request) -> Path:
    stages.snapshot(CAPACITY, work, request)
    for name in ("train", "calibrate", "evaluate"):
        stages.STAGES[name](CAPACITY, work)
    stages.seal(work)
    return work


@pytest.fixture(scope="module")
def longer(load_source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same source two weeks later."""
    out = tmp_path_factory.mktemp("longer") / "raw"
    simulate(out, LoadSizes(days=56, regions=1, services=2, step=900), seed=5)
    return out


@pytest.mark.parametrize("services", [1, pytest.param(2, marks=pytest.mark.nightly)])
def test_the_same_request_makes_the_same_bytes(services: int, as_of: datetime, tmp_path: Path) -> None:
    """With as many threads as the first time: other tests of this process may have changed their number since."""
    simulate(tmp_path / "raw", LoadSizes(days=42, regions=1, services=services, step=900), seed=5)
    one, other = (run(tmp_path / name, Request(str(tmp_path / "raw"), as_of)) for name in ("one", "other"))
    for folder in ("train", "calibrate", "evaluate", "bundle"):
        assert files(one / folder) == files(other / folder), folder


def test_a_bundle_is_whole_and_holds_its_companions(load_work: Path) -> None:
    verify(load_work / "bundle")
    card = read_json(load_work / "bundle" / "bundle.json")
    snapshot = read_json(load_work / "snapshot" / "snapshot.json")
    assert (card["domain"], card["series"]) == ("capacity", 2)
    assert (card["calendar"], card["masks"]) == (snapshot["calendar"], snapshot["masks"])
    version = Forecaster(load_work / "bundle")
    assert card["companions"] == {"calendar": version.companion(), "masks": companion_id(version.masks)}
    for name in ("calendar.csv", "masks.csv"):
        assert (load_work / "bundle" / name).read_bytes() == (load_work / "snapshot" / name).read_bytes()
    assert not [name for name in files(load_work / "bundle") if name.endswith((".pkl", ".pt"))]


def test_the_training_record_tells_weights_origins_and_noise(load_work: Path) -> None:
    (told,) = read_json(load_work / "train" / "training.json")
    assert told["series"] == NAMES
    for name in NAMES:
        assert tuple(told["weights"][name]) == tuple(sorted(LEVEL_MODELS))
        assert sum(told["weights"][name].values()) == pytest.approx(1)
        assert 0 < told["noise"]["900"][name]["sigma"] < 1
    assert {origin["role"] for origin in told["origins"]} == {"tune", "certify", "test"}


def test_the_scorecard_names_every_metric_and_its_rivals(load_work: Path) -> None:
    card = read_json(load_work / "evaluate" / "scorecard.json")
    assert {line["model"] for line in card} == {"headgate", "profile", "seasonal naive"}
    mine = {line["metric"]: line["value"] for line in card if (line["model"], line["slice"]) == ("headgate", "all")}
    # the series' own step is a quarter of an hour
    assert set(mine) == {metric.name for metric in METRICS} - {"wape_15min"}
    profile = {line["metric"]: line["value"] for line in card if (line["model"], line["slice"]) == ("profile", "all")}
    assert mine["wape"] < profile["wape"]
    assert mine["wape_1d"] < mine["wape"]
    assert mine["cover80"] < mine["cover90"]
    units = pl.read_parquet(load_work / "evaluate" / "units.parquet").filter(metric="wape", slice="all")
    assert units["unit"].str.split(" @ ").list.first().to_list() == NAMES


def test_the_future_is_summed_by_day_beside_what_came_of_it(load_work: Path, as_of: datetime) -> None:
    future = pl.read_parquet(load_work / "evaluate" / FUTURE)
    today = int(as_of.timestamp()) // 86_400
    assert (future["known"] == (future["day"] < today)).all()
    assert future["day"].max() == today + 27
    assert (future["actual"].is_null() == ~future["known"]).all()
    ratio = future.filter("known").select((pl.col("said") / pl.col("actual")).log().abs().median()).item()
    assert ratio < 0.1


def test_pictures_are_drawn(load_work: Path, tmp_path: Path) -> None:
    plots(load_work, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["backtest.png", "coverage.png", "next_weeks.png"]


def test_a_base_keeps_its_weights_and_is_fitted_to_the_newer_data(
    load_work: Path, longer: Path, as_of: datetime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = Request(str(longer), as_of + timedelta(7)).recalibrating(load_work / "bundle")
    stages.snapshot(CAPACITY, tmp_path, request)
    stages.train(CAPACITY, tmp_path)
    (before,), (after,) = series_model.read(load_work / "bundle"), series_model.read(tmp_path / "train" / "model")
    assert np.array_equal(after.weights, before.weights)
    assert after.known == before.known + 7


def test_a_history_that_is_too_short_to_judge_is_refused(load_source: Path, as_of: datetime, tmp_path: Path) -> None:
    request = Request(str(load_source), as_of - timedelta(28))
    stages.snapshot(CAPACITY, tmp_path, request)
    stages.train(CAPACITY, tmp_path)
    calibrated = stages.calibrate(CAPACITY, tmp_path)
    assert "No interval is certified" in read_json(calibrated / "calibration.json")["words"]
    with pytest.raises(DataRefused, match="long enough"):
        stages.evaluate(CAPACITY, tmp_path)


# -- a version on a folder of raw files --------------------------------------------------------------------------------


def test_every_point_of_a_folder_is_decided(load_work: Path, load_source: Path, tmp_path: Path) -> None:
    decided = decide(load_work / "bundle", load_source, tmp_path / "said.parquet")
    said = pl.read_parquet(tmp_path / "said.parquet")
    assert len(said) == decided.rows == 42 * 96 * 2
    assert said.columns == ["series", "time", "value", "q05", "q10", "q50", "q90", "q95"]
    assert 0 < decided.outcomes["outside"] < 0.25 * decided.rows
    with pytest.raises(UsageError, match="no point files"):
        decide(load_work / "bundle", tmp_path, tmp_path / "none.parquet")


def test_a_version_is_scored_on_what_came_after_it(load_work: Path, longer: Path, load_source: Path) -> None:
    scored = score(load_work / "bundle", longer, None)
    assert scored.rows == 14 * 96 * 2
    wape = {
        line["model"]: line["value"] for line in scored.scorecard if (line["metric"], line["slice"]) == ("wape", "all")
    }
    assert 0 < wape["headgate"] < 0.3
    with pytest.raises(DataRefused, match="no point that this version forecasts"):
        score(load_work / "bundle", load_source, None)


def test_a_band_is_as_wide_as_it_was_forecast_wherever_scoring_begins(load_work: Path, longer: Path) -> None:
    """The second week was forecast a week ahead: its lines are those of `later` in the score of both weeks."""
    since = AS_OF + timedelta(7)
    both, second = (score(load_work / "bundle", longer, begin) for begin in (None, since))
    assert second.rows == 7 * 96 * 2
    for model, metric in (("headgate", "cover90"), ("headgate", "wape"), ("seasonal naive", "wape")):
        late, whole = (
            next(
                (line["value"], line["units"])
                for line in card
                if (line["model"], line["metric"], line["slice"]) == (model, metric, name)
            )
            for card, name in ((both.scorecard, "later"), (second.scorecard, "all"))
        )
        assert whole == late
    assert not [line for line in second.scorecard if line["slice"] == "first week"]


def test_a_folder_without_the_calendar_is_scored_alike(load_work: Path, longer: Path, tmp_path: Path) -> None:
    shutil.copytree(longer, tmp_path / "bare")
    (tmp_path / "bare" / "calendar.csv").unlink()
    scored = [score(load_work / "bundle", folder, None) for folder in (longer, tmp_path / "bare")]
    alike = ("headgate", "wape", "all")
    values = [
        [line["value"] for line in one.scorecard if (line["model"], line["metric"], line["slice"]) == alike]
        for one in scored
    ]
    assert values[0] == values[1]


def test_series_that_were_learned_apart_are_scored_together(load_work: Path, longer: Path, tmp_path: Path) -> None:
    """Two calendars make two models; a folder that has none holds their series side by side."""
    apart = tmp_path / "bundle"
    shutil.copytree(load_work / "bundle", apart)
    (model,) = series_model.read(apart)
    columns = ("trend", "season", "effects", "fast", "weights", "roof")
    halves = [
        replace(model, series=model.series[part], **{name: getattr(model, name)[..., part] for name in columns})
        for part in (slice(0, 1), slice(1, 2))
    ]
    series_model.save(halves, apart)
    assert score(apart, longer, None).rows == score(load_work / "bundle", longer, None).rows


# -- what a planner would do without a model ---------------------------------------------------------------------------


def test_the_rivals_are_last_week_and_the_mean_of_four() -> None:
    times = span("2026-01-05", "2026-02-16", 3600)
    weeks = np.repeat(np.arange(6.0), 168) * 10
    values = small.load(times) + weeks
    values[times == at("2026-02-03T12:00")] = np.nan
    past = history(times, values)
    origin = Origin("test", at("2026-02-09"), 7)
    ahead = times[times >= origin.instant]
    tried = OriginForecast(origin, past.series, ahead, np.zeros((168, 1)), past.values[-168:], ())
    found = baselines(past, tried)
    noon = int(np.flatnonzero(ahead == at("2026-02-10T12:00"))[0])
    expected = small.load(ahead)[:, None]
    elsewhere = np.arange(168) != noon
    assert found["profile"][elsewhere] == pytest.approx(expected[elsewhere] + 25, rel=1e-5)  # the weeks 1 to 4
    assert found["profile"][noon] == pytest.approx(expected[noon] + 20, rel=1e-5)  # of the three that are known
    assert found["seasonal naive"][elsewhere] == pytest.approx(expected[elsewhere] + 40, rel=1e-5)
    assert found["seasonal naive"][noon] == found["profile"][noon]
