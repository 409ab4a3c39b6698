"""`headgate --help`: one screen, at once."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from headgate import cli, domain
from headgate.domain import NAMES

from ..toy import ROOMS
from .said import Headgate

#: What takes seconds to import.
HEAVY = "torch mlflow lightning prefect great_expectations polars numpy pandas lightgbm sklearn scipy dvc boto3 onnx"

#: The help of every command but those whose options a domain makes.
SCRIPT = f"""
import resource, sys
from headgate import cli
def call(*command):
    sys.argv = ["headgate", *command, "--help"]
    try:
        cli.main()
    except SystemExit as end:
        assert not end.code, command
call()
used = resource.getrusage(resource.RUSAGE_SELF)
print(used.ru_utime + used.ru_stime, file=sys.stderr)
for panel in cli.PANELS.values():
    for name in panel:
        if name not in ("simulate", "import"):
            call(name)
found = set({HEAVY.split()}) & set(sys.modules)
assert not found, found
"""


def test_it_is_quick_and_imports_nothing_heavy() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert float(done.stderr) < 0.5  # seconds of CPU


def test_it_fits_a_screen_and_names_every_command() -> None:
    environment = os.environ | {"COLUMNS": "80"}
    command = [sys.executable, "-m", "headgate.cli", "--help"]
    lines = subprocess.run(command, capture_output=True, text=True, env=environment, check=True).stdout.splitlines()
    assert len(lines) < 40  # a line is left for the prompt
    assert max(map(len, lines)) <= 80
    first = [line.split()[0] for line in lines if line.startswith("  ")]
    assert set(first) >= {name for panel in cli.PANELS.values() for name in panel}
    assert all(name in " ".join(lines) for name in NAMES)
    assert "3 refused by the gate, 4 data refused" in " ".join(lines)


def test_no_command_at_all_shows_the_help(headgate: Headgate) -> None:
    said = headgate()
    assert "Usage" in said.out + said.err
    assert said.code in (0, 2)


def test_the_help_of_a_domain_shows_its_own_commands(headgate: Headgate) -> None:
    shown = headgate("capacity", "--help").out
    assert all(f" {name} " in shown for name in ("forecast", "calendar", "mask", "orders", "gameday"))
    assert headgate("capacity", "retrain").code == 2


def test_a_domain_without_commands_of_its_own_says_so(headgate: Headgate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(domain, "get_domain", lambda name: ROOMS)
    said = headgate("capacity", "forecast")
    assert (said.code, said.sentence.partition(":")[0]) == (2, "capacity has no commands of its own")


def test_a_domain_without_foreign_formats_says_so(
    headgate: Headgate, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(domain, "get_domain", lambda name: ROOMS)
    said = headgate("import", "capacity", "x.csv", "--out", tmp_path / "out")
    assert (said.code, said.sentence.partition(":")[0]) == (2, "rooms takes no foreign files")
