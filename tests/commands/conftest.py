"""A command as the console script runs it, in this process, with a state folder of its own."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from headgate import cli
from headgate.domains.adclicks.simulated.simulator import simulate
from headgate.domains.adclicks.simulated.sizes import ClickSizes

from .said import Headgate, Said


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A state folder of its own, with nothing in it."""
    folder = tmp_path_factory.mktemp("home") / "state"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEADGATE_HOME", str(folder))
        yield folder


@pytest.fixture
def headgate(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Headgate:
    """Run a command as the console script does, in this process."""

    def call(*arguments: object) -> Said:
        monkeypatch.setattr(sys, "argv", ["headgate", *map(str, arguments)])
        code: Any = 0
        try:
            cli.main()
        except SystemExit as end:
            code = end.code
        said = capsys.readouterr()
        return Said(code or 0, said.out, said.err)

    return call


@pytest.fixture
def unmade(headgate: Headgate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state folder that is not there yet."""
    monkeypatch.setenv("HEADGATE_HOME", str(tmp_path / "unmade"))
    return tmp_path / "unmade"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three days of a few clicks."""
    out = tmp_path_factory.mktemp("tiny") / "raw"
    simulate(out, ClickSizes(days=3, clicks_per_day=300), seed=1)
    return out
