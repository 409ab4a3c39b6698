"""An explanation's factors multiply to the forecast; another calendar gives another forecast, and another id."""

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from math import prod
from pathlib import Path

import numpy as np
import pytest
from matplotlib.dates import num2date
from matplotlib.figure import Figure

from headgate.domains.capacity.model.forecaster import Forecaster
from headgate.domains.capacity.serving.explain import explain_forecast, moved, picture, what_if
from headgate.errors import UsageError

from .. import small

HOME = "eu-central/home/requests"
SALE = "flash-2026-02-2"  # 21 February, a Saturday, on the clocks of Berlin
NIGHT = datetime(2026, 2, 20, 23, tzinfo=UTC)
EVENING = datetime(2026, 2, 21, 18, tzinfo=UTC)

WINDOWS = [
    (EVENING, EVENING + timedelta(minutes=15)),
    (NIGHT, NIGHT + timedelta(days=1)),
    (NIGHT - timedelta(days=30), NIGHT + timedelta(days=60)),
]


@pytest.mark.parametrize("window", WINDOWS)
def test_the_factors_multiply_to_the_forecast(forecaster: Forecaster, window: tuple[datetime, datetime]) -> None:
    found = explain_forecast(forecaster, HOME, *window)
    assert prod(factor.value for factor in found.factors) == pytest.approx(found.forecast, rel=1e-9)
    said = forecaster.forecast(HOME, *window, levels=(0.5,)).quantiles[0.5]
    assert found.forecast == pytest.approx(said.sum(), rel=1e-9)
    assert [factor.name for factor in found.factors] == ["baseline", "trend", "season", "clock", "sale"]


def test_a_gauges_explanation_is_of_its_mean(load_work: Path) -> None:
    own = Forecaster(load_work / "bundle")
    total = explain_forecast(own, HOME, *WINDOWS[1]).forecast
    own.models = [replace(m, series=tuple(replace(one, aggregation="mean") for one in m.series)) for m in own.models]
    found = explain_forecast(own, HOME, *WINDOWS[1])
    assert found.forecast == pytest.approx(total / 96)
    assert prod(factor.value for factor in found.factors) == pytest.approx(found.forecast, rel=1e-9)


def test_a_sale_is_a_factor_where_it_is_on_and_none_elsewhere(forecaster: Forecaster) -> None:
    on, off = (
        {f.name: f.value for f in explain_forecast(forecaster, HOME, at, at + timedelta(minutes=15)).factors}
        for at in (EVENING, EVENING + timedelta(days=4))
    )
    assert on["sale"] > 1.2
    assert off["sale"] == 1.0
    assert on["clock"] > 1.2  # an evening


def test_words_name_the_series_the_band_and_the_events(forecaster: Forecaster) -> None:
    found = explain_forecast(forecaster, HOME, *WINDOWS[0])
    assert found.low is not None
    assert found.high is not None
    assert found.low < found.forecast < found.high
    assert found.events == ("Flash sale (sale), 2026-02-21 to 2026-02-22",)
    words = found.words()
    for part in (HOME, "80 % between", "sale (event)", "the hour of the day", "baseline"):
        assert part in words


def test_a_version_without_bands_explains_itself_without_them(load_work: Path) -> None:
    own = Forecaster(load_work / "bundle")
    own.bands = {}
    found = explain_forecast(own, HOME, *WINDOWS[0])
    assert (found.low, found.high) == (None, None)
    assert "80 %" not in found.words()


def test_a_total_is_not_explained(forecaster: Forecaster) -> None:
    with pytest.raises(UsageError, match="explain one of its parts"):
        explain_forecast(forecaster, "eu-central/*/requests", *WINDOWS[0])


def test_a_picture_is_a_picture(forecaster: Forecaster, tmp_path: Path) -> None:
    picture(forecaster, HOME, *WINDOWS[1], None, tmp_path / "factors.png")
    assert (tmp_path / "factors.png").read_bytes().startswith(b"\x89PNG")


def test_factors_that_change_nothing_are_no_words_and_events_have_their_names(forecaster: Forecaster) -> None:
    on, off = (
        explain_forecast(forecaster, HOME, at, at + timedelta(minutes=15)) for at in (EVENING, EVENING + timedelta(4))
    )
    assert "sale (event): Flash sale 2026-02-21 to 2026-02-22" in on.words()
    assert "sale" not in off.words()
    assert "× 1.000" not in on.words() + off.words()
    assert [factor.name for factor in off.factors] == ["baseline", "trend", "season", "clock", "sale"]


def test_an_event_without_a_name_is_called_by_its_id(forecaster: Forecaster) -> None:
    nameless = [replace(event, name="") for event in forecaster.calendar]
    found = explain_forecast(forecaster, HOME, *WINDOWS[0], calendar=nameless)
    assert found.events == (f"{SALE} (sale), 2026-02-21 to 2026-02-22",)


def test_what_is_explained_is_whole_steps(forecaster: Forecaster) -> None:
    found = explain_forecast(forecaster, HOME, EVENING, EVENING + timedelta(minutes=1))
    assert found.end == (EVENING + timedelta(minutes=15)).isoformat()


def test_an_hour_and_a_day_have_the_band_of_their_own_step(forecaster: Forecaster) -> None:
    midnight = EVENING.replace(hour=0)
    for start, step in ((EVENING, 3600), (midnight, 86_400)):
        window = start, start + timedelta(seconds=step)
        said = forecaster.forecast(HOME, *window, step=step, levels=(0.1, 0.9)).quantiles
        found = explain_forecast(forecaster, HOME, *window)
        assert (found.low, found.high) == (said[0.1][0], said[0.9][0])
    assert explain_forecast(forecaster, HOME, EVENING, EVENING + timedelta(hours=5)).low is None


def test_masks_of_the_window_are_named(load_work: Path) -> None:
    own = Forecaster(load_work / "bundle")
    own.masks = (
        small.mask("2026-02-10T08:00Z", "2026-02-10T09:00Z", "outage", reason="balancer down"),
        small.mask("2026-02-12T08:00Z", "2026-02-12T09:00Z", "keep"),
        small.mask("2026-02-10T08:00Z", "2026-02-10T09:00Z", region="us-east"),
    )
    found = explain_forecast(own, HOME, datetime(2026, 2, 10, tzinfo=UTC), datetime(2026, 2, 13, tzinfo=UTC))
    assert found.masks == ("outage, 2026-02-10T08:00Z to 2026-02-10T09:00Z (balancer down)",)
    assert "not learned from: outage" in found.words()


def test_a_single_step_is_a_picture_of_its_own_time(forecaster: Forecaster, tmp_path: Path) -> None:
    """A line, drawn to the end of the step: one point alone has no extent, and an axis of years."""
    drawn = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Figure, "savefig", lambda figure, path, **how: (drawn.append(figure), path.touch()))
        picture(forecaster, HOME, EVENING, EVENING + timedelta(minutes=15), None, tmp_path / "step.png")
    upper, lower = drawn[0].axes
    assert num2date(upper.get_xlim()) == [EVENING, EVENING + timedelta(minutes=15)]
    assert upper.collections, "the band"
    assert all(len(line.get_xdata()) == 2 for line in [*upper.lines, *lower.lines])


# -- what if -----------------------------------------------------------------------------------------------------------


def test_a_sale_that_moves_takes_its_load_along(forecaster: Forecaster) -> None:
    other = moved(forecaster.calendar, SALE, start="2026-02-23", end="2026-02-25")
    window = datetime(2026, 2, 18, tzinfo=UTC), datetime(2026, 2, 28, tzinfo=UTC)
    started = time.perf_counter()
    found = what_if(forecaster, HOME, *window, other, 86_400)
    assert time.perf_counter() - started < 1
    gained = np.log(found.after / found.before)
    day = [datetime.fromtimestamp(int(t), UTC).day for t in found.times]
    assert gained[day.index(21)] < -0.1
    assert gained[day.index(23)] > 0.1
    assert gained[day.index(24)] > 0.1
    assert gained[day.index(27)] == pytest.approx(0)
    assert found.change == pytest.approx(found.after.sum() / found.before.sum())
    assert found.calendar == forecaster.companion(other) != forecaster.companion()


def test_the_calendar_as_it_is_changes_nothing(forecaster: Forecaster) -> None:
    same = moved(forecaster.calendar, SALE)
    found = what_if(forecaster, HOME, *WINDOWS[1], same)
    assert np.array_equal(found.before, found.after)
    assert found.calendar == forecaster.companion()


def test_a_larger_sale_is_a_larger_load(forecaster: Forecaster) -> None:
    small, large = (
        what_if(forecaster, HOME, *WINDOWS[1], moved(forecaster.calendar, SALE, intensity=value)).change
        for value in (0.5, 1.5)
    )
    assert small < 1 < large


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"start": "2026-02-30"}, "start.*is no time"),
        ({"start": "tomorrow"}, "start.*is no time"),
        ({"start": "2026-03-01", "end": "2026-02-22"}, "end.*before the start"),
        ({"end": "2026-02-21"}, "end.*exclusive"),
        ({"start": "2026-02-20T10:00Z", "end": "2026-02-22"}, "end.*mix"),
        ({"intensity": -1.0}, "intensity"),
    ],
)
def test_a_change_that_makes_no_sense_is_refused(forecaster: Forecaster, change: dict[str, object], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        moved(forecaster.calendar, SALE, **change)  # type: ignore[arg-type]


def test_an_event_that_is_not_planned_is_refused_with_those_that_are(forecaster: Forecaster) -> None:
    with pytest.raises(UsageError, match=r"plans no event 'sommer'.*summer-sale-2026"):
        moved(forecaster.calendar, "sommer", start="2026-07-01")


def test_an_event_that_is_only_moved_keeps_its_length(forecaster: Forecaster) -> None:
    before, after = (
        next(one for one in calendar if one.event == SALE)
        for calendar in (forecaster.calendar, moved(forecaster.calendar, SALE, start="2026-03-01"))
    )
    assert after.start == "2026-03-01"
    assert after.length == before.length
