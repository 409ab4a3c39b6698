"""`headgate orders`: from the champion to a plan in a file, its words, and its picture."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from headgate import settings
from headgate.domains.capacity.orders.commands import orders_app
from headgate.errors import DataRefused
from headgate.registry import versions
from headgate.registry.ledger import Entry, Ledger


@pytest.fixture
def run(load_work: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    monkeypatch.setenv("HEADGATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(versions, "wanted", lambda *_: SimpleNamespace(number=7, bundle="b7"))
    monkeypatch.setattr(versions, "fetch", lambda *_: load_work / "bundle")

    def call(*arguments: object) -> Result:
        result = CliRunner().invoke(orders_app, [str(one) for one in arguments])
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == 0, result.output
        return result

    return call


def test_a_plan_comes_from_the_champion_only_once_its_gate_let_it_through(run: Any, tmp_path: Path) -> None:
    fleet, out = tmp_path / "fleet.yaml", tmp_path / "plan.json"
    run("example", "capacity", "--out", fleet)
    asked = ("plan", "capacity", "--fleet", fleet, "--weeks", 2, "--out", out, "--seconds", 3, "--gap", 0.05)
    with pytest.raises(DataRefused, match="no verdict"):
        run(*asked)
    assert not out.exists()

    verdict = Entry("capacity", "verdict", "ana", to_version=7, bundle="b7", ruling="passed")
    Ledger(settings.load()).append(verdict)
    told = run(*asked, "--picture", tmp_path / "plan.png").stdout
    assert "by version 7 (passed)" in told
    assert (tmp_path / "plan.png").read_bytes().startswith(b"\x89PNG")
    plan = json.loads(out.read_text())
    assert plan["forecast"]["version"] == 7
    shown = run("show", "capacity", "--plan", out).stdout
    assert "Headroom, each applied once:" in shown
    assert "zone loss × 1.5 (by constraint)" in shown
