"""`headgate decide | evaluate | data checkout DOMAIN`: before the first version, and live decisions by their log."""

import json
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from headgate import domain as contract
from headgate import settings
from headgate.data import datasets
from headgate.registry import versions

from ..decisions.made import START, make_rows, write_part
from ..toy import ROOMS
from .said import Headgate


@pytest.mark.parametrize(
    "arguments",
    [
        ["decide", "adclicks", "--on", "x", "--out", "decisions.parquet"],
        ["evaluate", "adclicks", "--on", "x", "--version", "champion"],
        ["data", "checkout", "adclicks"],
        ["capacity", "forecast", "--series", "a/b/c", "--from", "2026-11-27", "--to", "2026-11-28", "--out", "x.csv"],
    ],
)
def test_before_the_first_version_the_way_to_one_is_told_and_nothing_is_made(
    headgate: Headgate, unmade: Path, arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    domain = "capacity" if "capacity" in arguments else "adclicks"
    said = headgate(*arguments)
    assert said.code == 2
    assert said.sentence.startswith(f"{domain} has no version 'champion': there is no registry in {unmade} yet.")
    assert "HEADGATE_HOME" in said.sentence
    assert list(Path.cwd().iterdir()) == []
    assert not unmade.exists()


def test_a_version_that_there_is_not_is_told_with_where_it_was_looked_for(headgate: Headgate, home: Path) -> None:
    versions.client(settings.load())  # makes an empty registry
    said = headgate("data", "checkout", "adclicks")
    assert said.code == 2
    assert (
        f"has no version 'champion' in sqlite:///{home / 'mlflow' / 'mlflow.db'}; there are: none yet" in said.sentence
    )


def test_data_is_checked_out_below_the_state_folder(
    headgate: Headgate, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow.artifacts

    version = versions.Version("adclicks", 7, "b", "r", "", ("champion",), "None", {}, 0, 0)
    monkeypatch.setattr(versions, "wanted", lambda here, domain, name: version)
    monkeypatch.setattr(mlflow.artifacts, "load_text", lambda uri: "{}")
    monkeypatch.setattr(datasets, "checkout", lambda here, lock, target: [target / "snapshot"])
    said = headgate("data", "checkout", "adclicks")
    target = home / "checkout" / "adclicks-7"
    assert said.out.strip() == f"The data of adclicks version champion is in {target}: snapshot."


@pytest.fixture
def warm(headgate: Headgate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A log of 400 readings of the toy: each 2 °C off, one in four a wrong alarm for a guest who was comfortable."""
    monkeypatch.setenv("HEADGATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(contract, "get_domain", lambda name: ROOMS)
    alarm = pl.int_range(pl.len()) % 4 == 0
    write_part(
        settings.load(),
        make_rows(400).with_columns(
            degrees=pl.col("usual") + 2,
            comfortable=pl.lit(True),
            guest=pl.format("g{}", pl.int_range(pl.len())),
            outcome=pl.when(alarm).then(pl.lit("hot")).otherwise(pl.lit("fine")),
        ),
    )


@pytest.mark.usefixtures("warm")
def test_live_decisions_are_scored_by_what_is_known_of_them(headgate: Headgate) -> None:
    since, until = START.isoformat(), (START + timedelta(days=2)).isoformat()
    said = headgate("evaluate", "rooms", "--on", "log", "--from", since, "--to", until, "--json")
    assert (said.code, said.err) == (0, "")
    card = json.loads(said.out)
    found = {line["metric"]: line for line in card["scorecard"] if line["slice"] == "all"}
    assert card["rows"] == 400
    assert found["error"]["value"] == pytest.approx(2)
    assert found["disturbed"]["value"] == pytest.approx(0.25)
    assert found["disturbed"]["low"] < 0.25 < found["disturbed"]["high"]
    assert {line["model"] for line in card["scorecard"]} == {"live"}
    words = headgate("evaluate", "rooms", "--on", "log", "--from", since, "--to", until).out
    assert words.startswith("rooms as it was decided from 2026-01-05T00:00+00:00 to 2026-01-07T00:00+00:00: 400")
    assert "disturbed            0.2500" in words


@pytest.mark.usefixtures("warm")
@pytest.mark.parametrize(
    ("more", "code", "sentence"),
    [
        ((), 4, "The decision log of rooms has nothing from "),  # of the last day, if nothing is said
        (("--version", "1"), 2, "--on log scores what was decided, whichever version that was: leave --version out."),
        (("--outcomes", "/nowhere"), 2, "There is no folder /nowhere: check --outcomes."),
    ],
)
def test_what_a_log_cannot_be_scored_by_is_told(
    headgate: Headgate, more: tuple[str, ...], code: int, sentence: str
) -> None:
    said = headgate("evaluate", "rooms", "--on", "log", *more)
    assert said.code == code
    assert said.sentence.startswith(sentence)


def test_options_of_the_log_do_not_go_with_a_folder(headgate: Headgate, tmp_path: Path) -> None:
    said = headgate("evaluate", "adclicks", "--on", tmp_path, "--to", "2026-01-06")
    assert (said.code, said.sentence.partition(":")[0]) == (2, "--outcomes and --to go with --on log")
