"""`headgate capacity orders`: from the champion to a plan in a file, its words, and its picture."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from headgate import settings
from headgate.domains.capacity.commands.orders import orders_app
from headgate.domains.capacity.orders import plans
from headgate.domains.capacity.orders.picture import draw
from headgate.errors import DataRefused, UsageError
from headgate.registry import versions
from headgate.registry.ledger import Entry, Ledger

from ..orders.worlds import fleet, planned, service


@pytest.fixture
def run(load_work: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    monkeypatch.setenv("HEADGATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(versions, "wanted", lambda *_: SimpleNamespace(number=7, bundle="b7"))
    monkeypatch.setattr(versions, "fetch", lambda *_: load_work / "bundle")

    def call(*arguments: object, exit_code: int = 0) -> Result:
        result = CliRunner().invoke(orders_app, [str(one) for one in arguments])
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == exit_code, result.output
        return result

    return call


def judge() -> None:
    """Let the champion's version through the gate."""
    verdict = Entry("capacity", "verdict", "ana", to_version=7, bundle="b7", ruling="passed")
    Ledger(settings.load()).append(verdict)


def test_a_plan_comes_from_the_champion_only_once_its_gate_let_it_through(run: Any, tmp_path: Path) -> None:
    fleet, out = tmp_path / "fleet.yaml", tmp_path / "plan.json"
    run("example", "--out", fleet)
    asked = ("plan", "--fleet", fleet, "--weeks", 2, "--out", out, "--seconds", 3, "--gap", 0.05)
    with pytest.raises(DataRefused, match="no verdict"):
        run(*asked)
    assert not out.exists()

    judge()
    told = run(*asked, "--picture", tmp_path / "plan.png").stdout
    assert "by version 7 (passed)" in told
    assert (tmp_path / "plan.png").read_bytes().startswith(b"\x89PNG")
    draw(plans.read(out), tmp_path / "plan.pdf")
    assert (tmp_path / "plan.pdf").read_bytes().startswith(b"%PDF")
    plan = json.loads(out.read_text())
    assert plan["forecast"]["version"] == 7
    shown = run("show", "--plan", out).stdout
    assert "Headroom, each applied once:" in shown
    assert "zone loss × 1.5 (by constraint)" in shown


@pytest.mark.parametrize(("option", "file"), [("--out", "no.json"), ("--picture", "no.png"), ("--picture", "x.gif")])
def test_a_file_that_cannot_be_written_is_refused_before_the_plan_is_made(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: str, file: str
) -> None:
    judge()
    run("example", "--out", tmp_path / "fleet.yaml")
    monkeypatch.setattr("headgate.domains.capacity.orders.make.solve_problem", lambda *_: pytest.fail("it was solved"))
    where = tmp_path / file if file == "x.gif" else tmp_path / "fleet.yaml" / file
    with pytest.raises(UsageError, match=r"cannot be written|would be no \.png"):
        run("plan", "--fleet", tmp_path / "fleet.yaml", option, where)


@pytest.mark.parametrize("floors", [(0.0, 0.0), (0.8, 0.0)])
def test_services_without_a_floor_are_not_said_to_survive_and_what_they_lack_is_said(
    run: Any, tmp_path: Path, floors: tuple[float, float]
) -> None:
    told = fleet(services={f"s{i}": service(floor=floor, missing=0.0) for i, floor in enumerate(floors)})
    made = planned(told, need=np.full((5, 2, 3), 1000.0))
    plans.write(made, tmp_path / "plan.json")
    shown = run("show", "--plan", tmp_path / "plan.json").stdout
    lacked = sum(sum(row.missing) for row in made.services)
    if floors == (0.0, 0.0):
        assert "6,000 units of a median need of 6,000 (s0 100 %, s1 100 %), for 0 USD" in shown
        assert "counted through" not in shown
    else:
        assert f"{lacked:,.0f} units of a median need of 6,000 (s1 100 %), for 0 USD" in shown
        assert "counted through for 1 of 2 services" in shown
    assert shown.count("zone loss × 1.5") == sum(floor > 0 for floor in floors)


def test_what_is_not_as_it_was_asked_for_and_what_is_too_late_is_told(run: Any, tmp_path: Path) -> None:
    """The version knows a past in which all weeks of the plan have begun by now."""
    judge()
    fleet, out = tmp_path / "fleet.yaml", tmp_path / "plan.json"
    run("example", "--out", fleet)
    asked = ("--fleet", fleet, "--weeks", 2, "--out", out, "--seconds", 1)
    told = run("plan", *asked, "--gap", 0.0001).stdout
    plan = json.loads(out.read_text())
    assert ("0.01 % was asked for" in told) == (plan["gap"] > 0.0001)
    assert "2 of its weeks have begun" in told
    shown = run("place", "--plan", out, "--no-ask", exit_code=1).stdout
    late = sum(one["kind"] == "schedule" for one in plan["orders"])
    assert late > 1
    assert shown.count("have begun") == 1, "one sentence, however many lines"
    assert "Nothing was ordered" in shown
