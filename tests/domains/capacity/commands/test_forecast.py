"""`headgate capacity forecast | explain | whatif | track`: files, words, JSON, and what is refused."""

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest
from typer.testing import CliRunner, Result

from headgate.domains.capacity.commands.app import commands
from headgate.domains.capacity.companions.edit import Signature, cancel, move
from headgate.domains.capacity.data.importing import import_data
from headgate.domains.capacity.model.forecaster import Forecaster
from headgate.errors import DataRefused, UsageError
from headgate.registry import versions

HOME = "eu-central/home/requests"
WINDOW = ("--series", HOME, "--from", "2026-02-21", "--to", "2026-02-22")
SALE = "flash-2026-02-2"


@pytest.fixture
def run(load_work: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run a command against a registry whose champion is version 7; what it refuses is raised."""
    monkeypatch.setattr(versions, "wanted", lambda settings, domain, wanted: SimpleNamespace(number=7))
    monkeypatch.setattr(versions, "fetch", lambda version, settings: load_work / "bundle")

    def call(name: str, *arguments: object) -> Result:
        result = CliRunner().invoke(commands(), [name, *map(str, arguments)])
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == 0, result.output
        return result

    return call


def test_a_forecast_is_a_csv_of_steps_and_quantiles(run: Any, tmp_path: Path, forecaster: Forecaster) -> None:
    told = run("forecast", *WINDOW, "--step", "15min", "--out", tmp_path / "sale.csv")
    table = pl.read_csv(tmp_path / "sale.csv")
    assert table.columns == ["time_utc", "q05", "q10", "q50", "q90", "q95"]
    assert (len(table), table["time_utc"][0]) == (96, "2026-02-21T00:00:00Z")
    assert f"96 steps of {HOME} by version 7" in told.stdout
    assert "The largest step:" in told.stdout
    start, end = (datetime(2026, 2, day, tzinfo=UTC) for day in (21, 22))
    said = forecaster.forecast(HOME, start, end).quantiles[0.5]
    assert table["q50"].to_numpy() == pytest.approx(said, abs=1e-3)


def test_parquet_and_json_say_the_same(run: Any, tmp_path: Path, forecaster: Forecaster) -> None:
    out = tmp_path / "sale.parquet"
    told = json.loads(run("forecast", *WINDOW, "--quantiles", "0.5,0.975", "--out", out, "--json").stdout)
    assert pl.read_parquet(out).columns == ["time_utc", "q50", "q97_5"]
    assert (told["version"], told["rows"], told["certified"]) == (7, 24, True)
    assert told["calendar"] == forecaster.companion()
    assert told["peak"]["0.5"] > 0


def test_a_reach_beyond_what_was_tested_is_said(run: Any, tmp_path: Path) -> None:
    told = run("forecast", "--series", HOME, "--from", "2026-02-21", "--to", "2026-05-21", "--out", tmp_path / "f.csv")
    assert "further ahead than any origin could test" in told.stdout


def test_a_newer_calendar_changes_the_forecast(
    run: Any, tmp_path: Path, load_source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(load_source / "calendar.csv", tmp_path)
    cancel(tmp_path, SALE, Signature("ana", "sold out"))
    usual, newer = (
        json.loads(run("forecast", *WINDOW, "--out", tmp_path / "f.csv", "--json", *more).stdout)
        for more in ((), ("--calendar", tmp_path))
    )
    assert newer["calendar"] != usual["calendar"]
    assert newer["peak"] != usual["peak"], "the largest step knows the newer calendar too"
    monkeypatch.setenv("HEADGATE_CALENDAR", str(tmp_path))
    set_for_all = json.loads(run("forecast", *WINDOW, "--out", tmp_path / "f.csv", "--json").stdout)
    assert set_for_all["calendar"] == newer["calendar"], "what serving and the console use counts here too"
    with pytest.raises(UsageError, match=r"no calendar\.csv"):
        run("forecast", *WINDOW, "--out", tmp_path / "f.csv", "--calendar", load_source / "points")


def test_an_explanation_in_words_as_json_and_as_a_picture(run: Any, tmp_path: Path) -> None:
    evening = ("--series", HOME, "--from", "2026-02-21T18:00Z", "--to", "2026-02-21T18:15Z")
    told = run("explain", *evening, "--out", tmp_path / "why.png").stdout
    assert "sale (event)" in told
    assert (tmp_path / "why.png").stat().st_size > 10_000
    value = json.loads(run("explain", *evening, "--json").stdout)
    assert [factor["name"] for factor in value["factors"]] == ["baseline", "trend", "season", "clock", "sale"]


def test_what_if_a_sale_were_cancelled_by_moving_it_away(run: Any) -> None:
    moved = ("--event", SALE, "--event-start", "2026-03-02", "--event-end", "2026-03-03")
    told = json.loads(run("whatif", *WINDOW, *moved, "--json").stdout)
    assert told["after"] < 0.9 * told["before"]
    assert told["highest_after"] < told["highest_before"]
    assert "→" in run("whatif", *WINDOW, *moved).stdout


def test_track_reads_what_came_from_a_source(run: Any, load_source: Path) -> None:
    window = ("--series", HOME, "--from", "2026-02-15", "--to", "2026-02-17")
    told = json.loads(run("track", *window, "--on", load_source, "--json").stdout)
    assert told["seen"] == 96
    assert told["expected_rest"] == pytest.approx(told["ratio"] * told["forecast_rest"], rel=1e-6)
    assert "96 steps came" in run("track", *window, "--on", load_source).stdout
    with pytest.raises(DataRefused, match="has come yet"):
        run("track", *WINDOW, "--on", load_source)


@pytest.mark.parametrize(
    ("name", "changed", "says"),
    [
        ("forecast", ("--from", "soon"), "'soon' is no time"),
        ("forecast", ("--to", "9999-12-31T23:00-05:00"), "is no time"),
        ("forecast", ("--from", "2026-03-01"), "exchange"),
        ("forecast", ("--step", "2h"), "no step '2h'"),
        ("forecast", ("--quantiles", "0.5;0.9"), "--quantiles"),
        ("forecast", ("--series", "eu/none/requests"), "no series"),
        ("forecast", ("--to", "2199-01-01"), "ask within it"),
        ("explain", ("--series", "eu-central/*/requests"), "explain one of its parts"),
        ("whatif", ("--event", SALE), "Say what is to be another"),
        ("whatif", ("--event", "sommer"), "plans no event"),
        ("whatif", ("--event", SALE, "--event-start", "soon"), "is no time"),
    ],
)
def test_what_makes_no_sense_is_refused(
    run: Any, tmp_path: Path, name: str, changed: tuple[str, ...], says: str
) -> None:
    more = ("--out", tmp_path / "f.csv") if name == "forecast" else ()
    with pytest.raises(UsageError, match=says):
        run(name, *WINDOW, *changed, *more)
    assert not (tmp_path / "f.csv").exists()


@pytest.mark.parametrize(("name", "out"), [("forecast", "load.png"), ("explain", "why.xyz"), ("explain", ".")])
def test_a_file_of_another_kind_is_refused_before_anything_is_written(
    run: Any, tmp_path: Path, name: str, out: str
) -> None:
    with pytest.raises(UsageError, match=r"would be no|is a folder"):
        run(name, *WINDOW, "--out", tmp_path / out)
    assert not list(tmp_path.iterdir())
    assert not tmp_path.with_suffix(".png").exists()


def test_a_picture_makes_its_folder(run: Any, tmp_path: Path) -> None:
    run("explain", *WINDOW, "--out", tmp_path / "new" / "why.png")
    assert (tmp_path / "new" / "why.png").is_file()


def test_steps_that_were_known_are_no_forecast_and_said_to_be_none(run: Any, tmp_path: Path) -> None:
    past = ("--series", HOME, "--from", "2026-02-10", "--to", "2026-02-20", "--out", tmp_path / "f.csv")
    assert "Steps before 2026-02-16T00:00Z were fitted, not forecast." in run("forecast", *past).stdout
    assert "fitted" not in run("forecast", *WINDOW, "--out", tmp_path / "f.csv").stdout


def test_what_if_starts_from_a_newer_calendar(run: Any, tmp_path: Path, load_source: Path) -> None:
    shutil.copy(load_source / "calendar.csv", tmp_path)
    move(tmp_path, SALE, Signature("ana", "late"), start="2026-02-24")
    back = ("--event", SALE, "--event-start", "2026-02-21", "--json")
    told = json.loads(run("whatif", *WINDOW, *back, "--calendar", tmp_path).stdout)
    assert told["before"] < 0.9 * told["after"], "the newer calendar has no sale on the 21st"


def test_an_event_that_touches_nothing_is_said_to(run: Any) -> None:
    told = run("whatif", *WINDOW, "--event", "summer-sale-2026", "--intensity", "3").stdout
    assert "summer-sale-2026 does not touch these steps" in told
    assert "does not touch" not in run("whatif", *WINDOW, "--event", SALE, "--intensity", "0.5").stdout


def test_a_total_is_tracked_by_what_came_of_all_its_parts(run: Any, load_source: Path) -> None:
    window = ("--from", "2026-02-15", "--to", "2026-02-17", "--on", load_source, "--json")
    total = json.loads(run("track", "--series", "eu-central/*/requests", *window).stdout)
    home = json.loads(run("track", "--series", HOME, *window).stdout)
    assert total["seen"] == 96
    assert total["expected_rest"] > home["expected_rest"]


def test_a_step_that_only_looks_like_a_number_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no whole number"):
        import_data("load.csv", tmp_path / "out", format="csv", mapping={}, tz=None, facts={"step": "²"})
