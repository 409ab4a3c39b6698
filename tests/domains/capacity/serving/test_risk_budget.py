"""One risk budget over services: it holds on fresh windows, costs least, and says what cannot be told."""

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest
import typer
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from typer.testing import CliRunner

from headgate.domains.capacity.commands import forecast
from headgate.domains.capacity.model.forecaster import Forecaster
from headgate.domains.capacity.serving import risk_budget
from headgate.domains.capacity.serving.risk_budget import affordable, plan, spread
from headgate.errors import DataRefused, UsageError
from headgate.registry import versions

Floats = NDArray[np.float64]

HOME, SEARCH = "eu-central/home/requests", "eu-central/search/requests"


def lognormal(sigma: Floats, windows: int, seed: int) -> Floats:
    """The largest steps [n, windows] of services that differ in how far their peaks scatter."""
    return np.asarray(100 * np.exp(sigma[:, None] * np.random.default_rng(seed).normal(size=(len(sigma), windows))))


@st.composite
def cases(draw: st.DrawFn) -> tuple[Floats, Floats, float]:
    """Peaks [n, 2m] with ties and humps, prices [n], and a budget that can be told."""
    n, m = draw(st.integers(1, 5)), draw(st.integers(30, 80))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    peaks = 100 * np.exp(random.uniform(0.02, 0.6, n)[:, None] * random.normal(size=(n, 2 * m)))
    peaks[random.random(peaks.shape) < draw(st.sampled_from([0.0, 0.1]))] *= 3  # a second hump
    if draw(st.booleans()):
        peaks = np.round(peaks, -1)
    return peaks, random.uniform(0.1, 20, n), draw(st.floats(1.001 * n / (m + 1), 0.9))


@given(cases())
@settings(max_examples=60, deadline=None)
def test_the_budget_is_kept_and_never_costs_more_than_an_even_spread(case: tuple[Floats, Floats, float]) -> None:
    peaks, price, budget = case
    found = spread(peaks, price, budget)
    assert found.risk.sum() <= budget + 1e-9
    assert (found.risk > 0).all()
    assert found.cost <= found.even_cost
    assert found.slope >= 0
    tells = peaks[:, peaks.shape[1] // 2 :]
    short = (tells > found.capacity[:, None]).mean(axis=1)
    assert (short <= found.risk).all(), "on the paths that it was read off, a service is short at most as often as said"


@given(cases(), st.floats(1e-4, 1e4))
@settings(max_examples=30, deadline=None)
def test_costs_in_another_currency_change_no_capacity(case: tuple[Floats, Floats, float], rate: float) -> None:
    peaks, price, budget = case
    peaks = peaks + np.random.default_rng(0).random(peaks.shape)  # no ties, that either answer would settle
    one, other = spread(peaks, price, budget), spread(peaks, rate * price, budget)
    assert other.capacity == pytest.approx(one.capacity)
    assert (other.cost, other.even_cost) == pytest.approx((rate * one.cost, rate * one.even_cost))
    assert other.slope == pytest.approx(rate * one.slope, rel=1e-5)


@given(st.lists(st.floats(0.1, 10), min_size=2, max_size=5, unique=True), st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_where_more_money_hangs_on_the_spread_more_risk_is_taken(stakes: list[float], seed: int) -> None:
    noise = np.random.default_rng(seed).gumbel(size=400)
    price = np.random.default_rng(seed).uniform(0.5, 2, len(stakes))
    scatter = np.array(stakes) / price
    found = spread(200 + scatter[:, None] * noise, price, 0.3)
    assert (np.diff(found.risk[np.argsort(stakes)]) >= 0).all()


def test_convex_curves_are_spread_as_well_as_can_be() -> None:
    """Against every spread of whole paths there is, for exponential tails."""
    tails = np.outer([1.0, 3.0, 8.0], -np.log(np.linspace(0.001, 0.999, 199)))  # the largest first
    price, bought = np.array([1.0, 2.0, 0.5]), 30
    costs = price[:, None] * tails[:, :bought]
    best = min(costs[0, i] + costs[1, j] + costs[2, bought - i - j - 3] for i in range(28) for j in range(28 - i))
    found = spread(np.hstack([tails, tails]), price, bought / 200)
    assert found.cost == pytest.approx(best)
    assert found.cost < 0.95 * found.even_cost


def test_the_price_of_risk_is_what_a_little_more_saves_at_most_and_a_little_less_costs_at_least() -> None:
    rest = np.linspace(0.999, 0.001, 1999)
    peaks = np.stack([scale * -np.log(rest) for scale in (1.0, 3.0, 8.0)])
    less, here, more = (spread(np.hstack([peaks, peaks]), np.ones(3), b) for b in (0.045, 0.05, 0.055))
    assert here.cost - more.cost <= 0.005 * here.slope * (1 + 1e-9)
    assert less.cost - here.cost >= 0.005 * here.slope * (1 - 1e-9)
    assert here.cost - more.cost > 0.8 * 0.005 * here.slope


@pytest.mark.parametrize("together", [False, True])
def test_on_fresh_windows_a_shortage_is_at_most_as_frequent_as_the_budget(together: bool) -> None:
    """20 services, 30 plans, each judged on windows that it has not seen; services independent, or in step.

    Choosing the shares and reading the capacities off the same paths would be short in 5.9 %.
    """
    sigma, budget = np.linspace(0.05, 0.4, 20), 0.05
    short = []
    for seed in range(30):
        found = spread(lognormal(sigma, 4000, seed), np.ones(20), budget)
        fresh = lognormal(np.ones(1) if together else np.ones(20), 3000, 1000 + seed) / 100
        short.append((100 * fresh ** sigma[:, None] > found.capacity[:, None]).any(axis=0).mean())
    error = float(np.std(short, ddof=1)) / 30**0.5
    assert np.mean(short) - 1.96 * error <= budget
    if not together:
        assert np.mean(short) + 1.96 * error >= 0.9 * budget, "what was not needed is not bought"


def test_a_plan_of_a_version_holds_on_fresh_paths(forecaster: Forecaster, as_of: datetime) -> None:
    window = as_of, as_of + timedelta(7)
    found, certified = plan(forecaster, [HOME, SEARCH], *window, [1.0, 3.0], 0.1)
    assert certified
    said = [forecaster.forecast(name, *window, levels=(0.5,)) for name in (HOME, SEARCH)]
    fresh = np.stack(
        [forecaster.largest(one, window[1], range(100 + 10 * i, 110 + 10 * i)) for i, one in enumerate(said)]
    )
    short = (fresh > found.capacity[:, None]).any(axis=0)
    assert short.mean() - 1.96 * (0.1 * 0.9 / len(short)) ** 0.5 <= 0.1
    assert (found.capacity > found.expected).all()
    assert plan(forecaster, [HOME, SEARCH], *window, [1.0, 3.0], 0.1)[0].capacity == pytest.approx(found.capacity)


def test_paths_are_those_that_the_peak_of_a_forecast_is_read_off(forecaster: Forecaster, as_of: datetime) -> None:
    for name, days in ((HOME, 7), ("eu-central/*/requests", 60)):
        window = as_of, as_of + timedelta(days)
        drawn = forecaster.largest(forecaster.forecast(name, *window, levels=(0.5,)), window[1], [0])
        assert forecaster.peak(name, *window) == {
            level: float(np.quantile(drawn, level)) for level in (0.5, 0.9, 0.95, 0.99)
        }


@pytest.mark.parametrize("budget", [0.0, -0.1, 1.0, 5.0, float("nan")])
def test_a_budget_that_is_no_chance_is_refused(budget: float) -> None:
    with pytest.raises(UsageError, match="between 0 and 1"):
        affordable(budget, 3, 2000)


@given(st.integers(1, 50), st.integers(100, 5000))
def test_the_smallest_budget_that_is_named_can_be_told(services: int, paths: int) -> None:
    with pytest.raises(UsageError, match=f"finer than {paths:,} paths") as refused:
        affordable(0.99 * services / (paths + 1), services, paths)
    smallest = float(str(refused.value).split("the smallest is ")[1].split(". Ask")[0])
    assert affordable(smallest, services, paths) == services
    assert smallest <= services / (paths + 1) + 1e-6


def test_a_version_without_peaks_is_refused(load_work: Path, as_of: datetime) -> None:
    young = Forecaster(load_work / "bundle")
    young.bands = {}
    with pytest.raises(DataRefused, match="no certified peak"):
        plan(young, [HOME], as_of, as_of + timedelta(1), [1.0], 0.05)


@pytest.fixture
def headroom(load_work: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Run `headgate capacity headroom` against a registry whose champion is version 7; what it refuses is raised."""
    monkeypatch.setattr(versions, "wanted", lambda settings, domain, wanted: SimpleNamespace(number=7))
    monkeypatch.setattr(versions, "fetch", lambda version, settings: load_work / "bundle")
    app = typer.Typer()
    app.command()(forecast.headroom)

    def call(*arguments: object) -> str:
        window = ("--from", "2026-02-20", "--to", "2026-02-23")
        result = CliRunner().invoke(app, [*window, *map(str, arguments)])
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == 0, result.output
        return result.stdout

    return call


def test_the_command_answers_in_words_as_json_and_as_a_table(headroom: Callable[..., str], tmp_path: Path) -> None:
    told = headroom("--risk", "0.1", "--cost", f"{HOME}=1", "--cost", f"{SEARCH}=2.5", "--out", tmp_path / "h.csv")
    assert "By version 7, at most 10 % of such windows run short anywhere" in told
    assert f"{HOME}: " in told
    assert "with the risk spread evenly" in told
    assert "The next point of risk would save up to" in told
    table = pl.read_csv(tmp_path / "h.csv")
    assert table["series"].to_list() == [HOME, SEARCH]
    assert table["risk"].sum() <= 0.1
    (tmp_path / "prices.csv").write_text(f"series,cost\n{HOME},1\n{SEARCH},2.5\n")
    value: dict[str, Any] = json.loads(headroom("--risk", "0.1", "--cost", tmp_path / "prices.csv", "--json"))
    assert pl.DataFrame(value["services"])["capacity"].to_list() == pytest.approx(table["capacity"].to_list())
    assert value["cost"] == pytest.approx((table["cost"] * table["capacity"]).sum())
    assert value["cost"] <= value["even_cost"]


def test_a_risk_that_few_origins_cannot_show_is_said(headroom: Callable[..., str]) -> None:
    rows = json.loads(headroom("--risk", "0.002", "--json"))["services"]
    assert all(row["risk"] * row["different_peaks"] < 1 for row in rows)
    assert "2 of these risks are finer than origins could show" in headroom("--risk", "0.002")
    assert "finer than origins" not in headroom("--risk", "0.5", "--series", HOME)


def test_without_series_and_costs_all_are_sized_and_cost_the_same(headroom: Callable[..., str]) -> None:
    rows = json.loads(headroom("--json"))["services"]
    assert [(row["series"], row["cost"]) for row in rows] == [(HOME, 1.0), (SEARCH, 1.0)]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--risk", "0"), "between 0 and 1"),
        (("--risk", "0.0004"), "the smallest is 0.001"),
        (("--series", "eu/none/requests"), "no series"),
        (("--cost", "prices.csv"), "neither a file"),
        (("--cost", f"{HOME}=free"), "a number above zero"),
        (("--cost", f"{HOME}=-1"), "a number above zero"),
        (("--cost", f"{HOME}=1", "--cost", f"{HOME}=2"), "two costs"),
        (("--cost", f"{HOME}=1", "--series", SEARCH), "has no cost"),
    ],
)
def test_what_makes_no_sense_is_refused(headroom: Callable[..., str], arguments: tuple[str, ...], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        headroom(*arguments)


def test_a_price_list_without_its_columns_and_units_that_do_not_add_up_are_refused(
    headroom: Callable[..., str], tmp_path: Path, forecaster: Forecaster, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "prices.csv").write_text("name,price\na,1\n")
    with pytest.raises(UsageError, match="columns series and cost"):
        headroom("--cost", tmp_path / "prices.csv")
    found = forecaster.parts(HOME)[0][0]
    orders = SimpleNamespace(step=7 * 86_400, series=found.series)
    parts = {HOME: [(found, [0])], SEARCH: [(orders, [1])]}
    monkeypatch.setattr(Forecaster, "parts", lambda self, name: parts[name])
    with pytest.raises(UsageError, match="differ in unit or step"):
        risk_budget.asked(forecaster, [HOME, SEARCH], {})
    assert risk_budget.asked(forecaster, [HOME, SEARCH], {HOME: 2.0, SEARCH: 5.0}) == {HOME: 2.0, SEARCH: 5.0}
