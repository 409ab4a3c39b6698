"""`units: gameday` in a fleet file: the plan takes what the newest game day found, and says where it is from."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from headgate.domains.capacity.gameday.report import FOLDER, write
from headgate.domains.capacity.orders import plans
from headgate.domains.capacity.orders.fleet import read
from headgate.domains.capacity.orders.gameday_units import with_units
from headgate.errors import UsageError

from ..gameday.days import NOON, made
from .worlds import fleet, kind, planned, service


def game_day(home: Path, **told: Any) -> None:
    write(made(**told), home / FOLDER)


def asking(**fields: Any) -> Any:
    return fleet(services={"s0": service(series="eu/s0/requests", units="gameday", **fields)})


def test_other_types_carry_as_much_more_as_they_are_faster(tmp_path: Path) -> None:
    game_day(tmp_path)
    told = with_units(asking(), tmp_path)
    assert told.units("s0", "c7") == pytest.approx(87_000)  # as it was tried
    assert told.units("s0", "m7") == pytest.approx(87_000 / 0.87)
    game_day(tmp_path, type="", started=NOON + timedelta(days=1), ended=NOON + timedelta(days=1))
    assert with_units(asking(), tmp_path).units("s0", "m7") == pytest.approx(87_000), "no type is one of speed 1"


def test_the_newest_that_found_its_limit_on_that_series_counts(tmp_path: Path) -> None:
    for day, told in enumerate(
        [
            {"units": 1000.0},
            {"units": 2000.0},
            {"units": 3000.0, "limited": "generator"},
            {"units": 4000.0, "limited": "interrupted"},
            {"units": 5000.0, "series": "eu/other/requests"},
        ]
    ):
        at = NOON + timedelta(days=day)
        game_day(tmp_path, started=at, ended=at, **told)
    assert with_units(asking(), tmp_path).units("s0", "c7") == pytest.approx(2000)


def test_the_plan_says_where_its_units_are_from_and_others_are_as_they_were(tmp_path: Path) -> None:
    game_day(tmp_path)
    need = planned(fleet(1)).services
    both = fleet(services={"s0": service(series="eu/s0/requests", units="gameday"), "s1": service()})
    plan = planned(with_units(both, tmp_path))
    assert plan.services[0].units_from == (
        "game day sale-2026 of 2026-02-20 on c7: p99 ≤ 50 ms broke at 1,450 requests/s"
    )
    assert plan.services[1].units_from == ""
    assert "units_from" not in msgspec.to_builtins(need[0]), "a plan of before is the same plan"
    plans.write(plan, tmp_path / "plan.json")
    assert plans.read(tmp_path / "plan.json") == plan


def test_without_a_game_day_it_is_said_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match=r"services.s0.units: no game day of eu/s0/requests .* --series eu/s0/requests"
    ):
        with_units(asking(), tmp_path)
    game_day(tmp_path, type="r7")
    with pytest.raises(UsageError, match="add r7 to types with its speed"):
        with_units(asking(), tmp_path)


def test_a_fleet_file_may_say_it_and_nothing_else_in_words(tmp_path: Path) -> None:
    path, told = tmp_path / "fleet.yaml", msgspec.to_builtins(asking())
    path.write_text(yaml.safe_dump(told))
    assert read(path).services["s0"].units == "gameday"
    told["services"]["s0"]["units"] = "much"
    path.write_text(yaml.safe_dump(told))
    with pytest.raises(UsageError, match="units"):
        read(path)
    assert with_units(fleet(types={"m7": kind()}), tmp_path) == fleet(types={"m7": kind()}), "numbers stay"
