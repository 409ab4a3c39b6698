"""The fleet file: what is wrong is named; and who may be ordered by."""

import re
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
import yaml

from headgate.domains.capacity.model.forecaster import Forecaster
from headgate.domains.capacity.orders.demand import drawn, first_day, refuse_unjudged
from headgate.domains.capacity.orders.example import write_example
from headgate.domains.capacity.orders.fleet import read
from headgate.domains.capacity.orders.problem import mondays
from headgate.errors import DataRefused, UsageError
from headgate.registry.ledger import Entry


@pytest.fixture
def file(tmp_path: Path, forecaster: Forecaster) -> Path:
    path = tmp_path / "fleet.yaml"
    path.write_text(write_example(forecaster.series, {one.series: 900.0 for one in forecaster.series}))
    return path


def test_the_example_is_a_fleet_for_the_series_of_a_version(file: Path, forecaster: Forecaster) -> None:
    told = read(file)
    weeks = mondays(first_day(None, forecaster.as_of), 2)
    assert weeks[0].weekday() == 0
    demand = drawn(forecaster, told, weeks)
    assert demand.load.values.shape == (400, len(forecaster.series), 2)
    assert (demand.load.values > 0).all()


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("types", "m7i.2xlarge", "on_demand"), "cheap", r"types.m7i.2xlarge.on_demand: expected `float`, got `str`"),
        (("types", "m7i.2xlarge", "lot"), 0, "types.m7i.2xlarge: vcpus, lot and commitment_weeks must be at least 1"),
        (("types", "m7i.2xlarge", "on_demand"), float("inf"), "types.m7i.2xlarge.on_demand: inf is no number"),
        (("types", "m7i.2xlarge", "speed"), float("nan"), "types.m7i.2xlarge.speed: nan is no number"),
        (("types", "m7i.2xlarge", "vcpus"), 10**40, r"types.m7i.2xlarge.vcpus: 1e\+40 is no number"),
        (("types", "m7i.2xlarge", "lead_weeks"), 10**9, "lead_weeks and commitment_weeks must be at most 520"),
        (("shortage", "measure"), "mean", "shortage.measure: it must be expected or cvar, not 'mean'"),
        (("use_after",), 2, "use_after: it must lie between 0 and 1"),
        (("group",), "{service}", "group: it must tell services, zones and types apart"),
        (("colour",), "red", "unknown field `colour`"),
    ],
)
def test_a_field_that_is_wrong_is_named(file: Path, path: tuple[str, ...], value: object, said: str) -> None:
    told = yaml.safe_load(file.read_text())
    inner = told
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = value
    file.write_text(yaml.safe_dump(told))
    with pytest.raises(UsageError, match=said):
        read(file)


def test_units_that_are_neither_numbers_nor_a_game_day_are_told_what_they_may_be(file: Path) -> None:
    told = yaml.safe_load(file.read_text())
    name = min(told["services"])
    told["services"][name]["units"] = "12x"
    file.write_text(yaml.safe_dump(told))
    said = f"services.{name}.units: it must be a number, a number for each type, or gameday, not '12x'."
    with pytest.raises(UsageError, match=re.escape(said)):
        read(file)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is no fleet"),
        ("[]", "is no fleet"),
        ("currency: USD\ncurrency: EUR", "currency stands"),
        pytest.param(f"{'[' * 3000}{']' * 3000}", "nested too deep", id="deep"),
    ],
)
def test_what_is_no_fleet_is_said(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "fleet.yaml").write_text(text)
    with pytest.raises(UsageError, match=said):
        read(tmp_path / "fleet.yaml")


def entry(what: str, ruling: str = "", version: int = 3) -> Entry:
    return Entry("capacity", what, "ana", to_version=version, bundle="b3", ruling=ruling)  # type: ignore[arg-type]


def test_only_a_version_that_passed_its_gate_is_ordered_by() -> None:
    assert refuse_unjudged([entry("verdict", "passed")], 3, "b3") == "passed"
    assert refuse_unjudged([entry("verdict", "refused"), entry("override")], 3, "b3") == "override"
    assert refuse_unjudged([entry("verdict", "review"), entry("changed")], 3, "b3") == "review"
    for entries, said in (
        ([], "no verdict"),
        ([entry("verdict", "refused")], "its verdict is 'refused'"),
        ([entry("verdict", "review")], "waits for a reviewer"),
        ([entry("verdict", "passed", version=2)], "no verdict"),
    ):
        with pytest.raises(DataRefused, match=said):
            refuse_unjudged(entries, 3, "b3")
    with pytest.raises(DataRefused, match="verdict"):
        refuse_unjudged([entry("verdict", "passed")], 3, "another bundle")


def test_weeks_begin_on_the_monday_after_all_that_was_known() -> None:
    assert str(first_day(None, datetime(2026, 2, 16, tzinfo=UTC))) == "2026-02-16"
    assert str(first_day(None, datetime(2026, 2, 17, tzinfo=UTC))) == "2026-02-23"


def test_a_plan_begins_on_the_day_that_is_asked_for_where_a_forecast_is_made_for_it() -> None:
    as_of = datetime(2026, 2, 17, tzinfo=UTC)
    assert first_day(date(2026, 2, 25), as_of) == date(2026, 2, 25)
    for asked, said in ((date(2026, 2, 16), "lies before"), (date(9999, 12, 31), "no forecast reaches so far")):
        with pytest.raises(UsageError, match=said):
            first_day(asked, as_of)
