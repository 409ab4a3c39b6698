"""A loaded version: forecasts and bands at any step, totals and peaks, in a process without torch and Prophet."""

import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from headgate.domains.capacity.model.clock import DAY
from headgate.domains.capacity.model.forecaster import Forecaster
from headgate.domains.capacity.model.series_model import Model
from headgate.errors import DataRefused, UsageError
from headgate.registry.golden import agrees

HOME, SEARCH, ALL = (f"eu-central/{name}/requests" for name in ("home", "search", "*"))


@pytest.fixture
def own(load_work: Path) -> Forecaster:
    """A forecaster that a test may change."""
    return Forecaster(load_work / "bundle")


def change(own: Forecaster, **fields: object) -> None:
    """The same version with other facts about its series."""
    own.models = [replace(m, series=tuple(replace(one, **fields) for one in m.series)) for m in own.models]  # type: ignore[arg-type]


def test_golden_answers_agree(load_work: Path, forecaster: Forecaster) -> None:
    assert agrees(load_work / "bundle", forecaster) == 256


def test_serving_needs_neither_torch_nor_prophet_nor_dask(load_work: Path) -> None:
    script = """
import sys
from datetime import timedelta
from pathlib import Path
from headgate.domains.capacity.model.forecaster import Forecaster
from headgate.domains.capacity.serving.routes import routes
from headgate.registry.golden import agrees
from headgate.contract.host import Host
from headgate.contract.slots import Slots
from headgate.settings import load
bundle = Path(sys.argv[1])
forecaster = Forecaster(bundle)
agrees(bundle, forecaster)
routes(Host(Slots(), None, load()))
start = forecaster.as_of
forecaster.peak("eu-central/*/requests", start, start + timedelta(2))
print([name for name in ("torch", "prophet", "pandas", "cvxpy", "distributed", "prefect_dask") if name in sys.modules])
"""
    told = subprocess.run(
        [sys.executable, "-c", script, str(load_work / "bundle")], capture_output=True, text=True, check=True
    )
    assert told.stdout.strip() == "[]"


def test_steps_follow_each_other_and_bands_lie_around_the_median(forecaster: Forecaster, as_of: datetime) -> None:
    said = forecaster.forecast(HOME, as_of, as_of + timedelta(9))
    assert said.times.tolist() == [int(as_of.timestamp()) + 900 * i for i in range(9 * 96)]
    rows = np.stack([said.quantiles[level] for level in (0.05, 0.1, 0.5, 0.9, 0.95)])
    assert (np.diff(rows, axis=0) > 0).all()
    assert (rows >= 0).all()
    assert said.certified
    assert not forecaster.forecast(HOME, as_of, as_of + timedelta(10)).certified


def test_hours_and_days_are_the_sums_of_their_steps(forecaster: Forecaster, as_of: datetime) -> None:
    fine = forecaster.forecast(HOME, as_of, as_of + timedelta(7)).quantiles[0.5]
    for step in (3600, DAY, 7 * DAY):
        coarse = forecaster.forecast(HOME, as_of, as_of + timedelta(7), step=step)
        assert coarse.quantiles[0.5] == pytest.approx(fine.reshape(-1, step // 900).sum(axis=1))


def test_gauges_are_averaged_and_refuse_to_be_added_up(own: Forecaster, as_of: datetime) -> None:
    sums = own.forecast(HOME, as_of, as_of + timedelta(1), step=3600).quantiles[0.5]
    change(own, aggregation="mean")
    assert own.forecast(HOME, as_of, as_of + timedelta(1), step=3600).quantiles[0.5] == pytest.approx(sums / 4)
    with pytest.raises(UsageError, match="add up gauges"):
        own.forecast(ALL, as_of, as_of + timedelta(1))


@pytest.mark.parametrize("name", [ALL, "*/*/requests"])
@pytest.mark.parametrize("step", [900, 3600, DAY])
def test_a_total_is_the_sum_of_its_parts(forecaster: Forecaster, as_of: datetime, name: str, step: int) -> None:
    total, *parts = (
        forecaster.forecast(one, as_of, as_of + timedelta(60), step=step).quantiles[0.5] for one in (name, HOME, SEARCH)
    )
    assert total == pytest.approx(sum(parts), rel=1e-12)


def test_a_totals_band_is_wider_than_independence_and_narrower_than_its_parts_together(
    forecaster: Forecaster, as_of: datetime
) -> None:
    total, *parts = (forecaster.forecast(one, as_of, as_of + timedelta(7)).quantiles for one in (ALL, HOME, SEARCH))
    up = total[0.9] - total[0.5]
    each = [part[0.9] - part[0.5] for part in parts]
    assert (up < sum(each)).all()
    assert (up > 0.9 * np.sqrt(sum(part**2 for part in each))).mean() > 0.9


def test_the_largest_step_of_a_window_lies_above_every_median(forecaster: Forecaster, as_of: datetime) -> None:
    window = as_of, as_of + timedelta(28)
    for name in (HOME, ALL):
        peak = forecaster.peak(name, *window)
        assert peak[0.5] > forecaster.forecast(name, *window).quantiles[0.5].max()
        assert peak[0.5] < peak[0.9] < peak[0.99]
    sums = forecaster.peak(HOME, *window)[0.5] + forecaster.peak(SEARCH, *window)[0.5]
    assert forecaster.peak(ALL, *window)[0.5] < sums  # the sum of peaks exceeds the peak of the sum


def test_the_sale_of_the_calendar_is_in_the_forecast(forecaster: Forecaster) -> None:
    sale = next(event for event in forecaster.calendar if event.event == "flash-2026-02-2")
    start, end = sale.span("Europe/Berlin")
    with_it, without = (
        forecaster.forecast(HOME, start, end, calendar=known).quantiles[0.5].sum()
        for known in (None, [event for event in forecaster.calendar if event is not sale])
    )
    assert with_it > 1.15 * without


def test_a_version_answers_what_it_knows_and_null_for_the_rest(forecaster: Forecaster, as_of: datetime) -> None:
    times = [as_of + timedelta(days=d) for d in (3, -20, 1, 3000, 2)] + [datetime(1999, 1, 1, tzinfo=as_of.tzinfo)]
    rows = pl.DataFrame({"series": [HOME] * 4 + ["us/none/requests", HOME], "time": times}).cast(
        {"time": pl.Datetime("us", "UTC")}
    )
    said = forecaster.decide(rows)
    assert said["q50"].is_null().to_list() == [False, False, False, True, True, True]
    alone = forecaster.forecast(HOME, times[2], times[2] + timedelta(minutes=15))
    assert said["q50"][2] == pytest.approx(alone.quantiles[0.5][0])
    assert said["q95"][2] == pytest.approx(alone.quantiles[0.95][0])


def test_rows_are_answered_in_their_own_order(forecaster: Forecaster, as_of: datetime) -> None:
    rows = pl.DataFrame(
        {"series": [HOME, SEARCH] * 50, "time": [as_of + timedelta(minutes=15 * i) for i in range(100)]}
    ).cast({"time": pl.Datetime("us", "UTC")})
    shuffled = rows.with_row_index().sample(fraction=1, shuffle=True, seed=1)
    back = pl.concat([shuffled, forecaster.decide(shuffled.drop("index"))], how="horizontal").sort("index")
    assert back.select("q05", "q50", "q95").equals(forecaster.decide(rows).select("q05", "q50", "q95"))


@pytest.mark.parametrize(
    ("name", "days", "step", "says"),
    [
        ("eu-central/cart/requests", 1, None, "It has 2, for example eu-central/home/requests"),
        ("*/cart/requests", 1, None, "no series"),
        ("nonsense", 1, None, "no series"),
        (HOME, 1, 60, "must be a multiple"),
        (HOME, 1, 1000, "must be a multiple"),
        (HOME, 0, None, "no step of 900 s"),
        (HOME, -1, None, "exchange or correct them"),
        (HOME, 500, None, "ask within it"),
    ],
)
def test_what_cannot_be_forecast_is_refused_in_a_sentence(
    forecaster: Forecaster, as_of: datetime, name: str, days: int, step: int | None, says: str
) -> None:
    with pytest.raises(UsageError, match=says):
        forecaster.forecast(name, as_of, as_of + timedelta(days), step=step)


def test_quantiles_beyond_what_bands_hold_are_refused(forecaster: Forecaster, as_of: datetime) -> None:
    day = as_of, as_of + timedelta(1)
    ends = forecaster.forecast(HOME, *day, levels=(0.01, 0.99)).quantiles
    assert (ends[0.01] < ends[0.99]).all()
    for level in (0.001, 0.995):
        with pytest.raises(UsageError, match=f"no quantile {level} is known"):
            forecaster.forecast(HOME, *day, levels=(level,))


def test_a_step_that_reaches_beyond_the_horizon_is_said_to(forecaster: Forecaster) -> None:
    last = datetime.fromtimestamp((forecaster.models[0].until - 2) * DAY, UTC)
    with pytest.raises(UsageError, match="Steps count whole, and the last ends on"):
        forecaster.forecast(HOME, last - timedelta(14), last, step=7 * DAY)


def test_without_bands_there_is_a_forecast_and_no_interval(own: Forecaster, as_of: datetime) -> None:
    own.bands = {}
    day = as_of, as_of + timedelta(1)
    assert own.forecast(HOME, *day, levels=(0.5,)).quantiles[0.5].min() > 0
    assert not own.forecast(HOME, *day, levels=(0.5,)).certified
    with pytest.raises(DataRefused, match="no certified interval"):
        own.forecast(HOME, *day)
    with pytest.raises(DataRefused, match="no certified peak"):
        own.peak(HOME, *day)
    rows = pl.DataFrame({"series": [HOME], "time": [as_of]}).cast({"time": pl.Datetime("us", "UTC")})
    assert own.decide(rows)["q90"].is_null().all()


def test_a_series_that_no_origin_could_try_has_wider_bands(own: Forecaster, as_of: datetime) -> None:
    day = as_of, as_of + timedelta(1)

    def width() -> float:
        said = own.forecast(HOME, *day).quantiles
        return float(np.log(said[0.9] / said[0.1]).mean())

    tried = width()
    own.noise = {step: {SEARCH: noises[SEARCH]} for step, noises in own.noise.items()}
    assert width() > 1.2 * tried


def test_what_is_forecast_stays_near_what_was_seen(own: Forecaster, as_of: datetime) -> None:
    """A slope that runs wild cannot order the moon: a log forecast ends e⁵ above the largest level that was seen."""
    wild = own.models[0]
    own.models = [Model(**{**wild.__dict__, "trend": wild.trend + 1000.0})]
    assert np.isfinite(own.forecast(HOME, as_of, as_of + timedelta(1)).quantiles[0.95]).all()
