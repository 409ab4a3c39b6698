"""`headgate simulate DOMAIN`: its own sizes and scenarios, and where the files are."""

from dataclasses import fields
from pathlib import Path

import pytest

from headgate.domain import NAMES, get_domain

from .said import Headgate, files


@pytest.mark.parametrize("name", NAMES)
def test_the_help_shows_the_sizes_and_the_scenarios_of_one_domain(headgate: Headgate, name: str) -> None:
    said, domain = headgate("simulate", name, "--help"), get_domain(name)
    shown = " ".join(said.out.split())
    own = {f"--{one.name.replace('_', '-')}" for one in fields(domain.demo)}
    options = {word for word in shown.split() if word.startswith("--")}
    assert (said.code, options - own) == (0, {"--out", "--scenario", "--seed", "--start", "--help"})
    assert own <= options
    assert all(f"{scenario}: " in shown for scenario in domain.scenarios)


def test_a_size_of_another_domain_is_no_option(headgate: Headgate, tmp_path: Path) -> None:
    said = headgate("simulate", "capacity", "--days", 7, "--clicks-per-day", 100, "--out", tmp_path / "out")
    assert said.code == 2
    assert "No such option: --clicks-per-day" in said.err
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_scenario_is_told_with_all_there_are(headgate: Headgate, tmp_path: Path) -> None:
    said = headgate("simulate", "adclicks", "--days", 1, "--scenario", "sunny", "--out", tmp_path / "out")
    assert said.code == 2
    assert "There is no scenario 'sunny'" in said.err
    for name, what in get_domain("adclicks").scenarios.items():
        assert name in said.err
        assert what in said.err
    assert not (tmp_path / "out").exists()


def test_simulating_into_a_folder_that_holds_something_leaves_it(headgate: Headgate, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("precious")
    said = headgate("simulate", "adclicks", "--days", 1, "--clicks-per-day", 100, "--out", tmp_path)
    assert said.code == 2
    assert f"{tmp_path} already exists and is not an empty folder" in said.sentence
    assert files(tmp_path) == {"mine": b"precious"}


def test_simulating_tells_where_the_files_and_their_truth_are(headgate: Headgate, tmp_path: Path) -> None:
    out = tmp_path / "out"
    said = headgate("simulate", "adclicks", "--days", 1, "--clicks-per-day", 100, "--start", "2026-02-03", "--out", out)
    assert (said.code, said.err) == (0, "")  # no progress bar where nobody looks
    assert said.out.strip() == f"{out} holds 1 day of adclicks (calm), and {out}.truth their hidden truth."
    assert (out / "clicks" / "2026-02-03.parquet").is_file()
