"""`headgate capacity calendar` and `headgate capacity mask`: what a planner types, sees, and is warned of."""

import getpass
import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from headgate.domains.capacity.commands.calendar import calendar_app, mask_app
from headgate.domains.capacity.companions.calendar import as_of, read_calendar, read_masks
from headgate.errors import DataRefused, UsageError

SERIES = """\
series,region,service,metric,unit,zone,step,aggregation,analogue
in/cart/requests,in,cart,requests,requests,Asia/Kolkata,60,sum,
in/checkout/requests,in,checkout,requests,requests,Asia/Kolkata,60,sum,
us/cart/requests,us,cart,requests,requests,America/New_York,60,sum,
"""

NEXT_YEAR = datetime.now(UTC).year + 1
SALE = ("--kind", "sale", "--start", f"{NEXT_YEAR}-06-10", "--end", f"{NEXT_YEAR}-06-11")
ROBOTS = ("--effect", "robots", "--reason", "scraper")

app = typer.Typer()
app.add_typer(calendar_app, name="calendar")
app.add_typer(mask_app, name="mask")

Run = Callable[..., Result]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A source of three series in two regions, with points of June 2024."""
    (tmp_path / "series.csv").write_text(SERIES)
    (tmp_path / "points").mkdir()
    for day in ("2024-06-29", "2024-06-30"):
        (tmp_path / "points" / f"{day}.parquet").touch()
    return tmp_path


@pytest.fixture
def run(folder: Path) -> Run:
    """Run a command on the source; what it refuses is raised."""

    def call(*arguments: object) -> Result:
        result = CliRunner().invoke(app, [*map(str, arguments), "--in", str(folder)])
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert "Traceback" not in result.output
        return result

    return call


def notes(result: Result) -> list[str]:
    assert result.exit_code == 0, result.output
    return [line.removeprefix("Note: ") for line in result.stderr.splitlines()]


# -- changes -----------------------------------------------------------------------------------------------------------


def test_an_event_is_added_under_the_login_name(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(getpass, "getuser", lambda: "ana")
    told = run("calendar", "add", "sale", *SALE, "--region", "in", "--service", "cart", "--service", "checkout")
    assert notes(told) == []
    assert "sale, revision 1 by ana" in told.stdout
    assert "in/cart/requests, in/checkout/requests" in told.stdout
    assert told.stdout.endswith("Written.\n")
    (event,) = read_calendar(folder)
    assert (event.author, event.region, event.services) == ("ana", "in", ("cart", "checkout"))


def test_a_move_shows_before_and_after(run: Run, folder: Path) -> None:
    run("calendar", "add", "sale", *SALE)
    told = run("calendar", "move", "sale", "--by", "-6h", "--reason", "earlier", "--author", "bo")
    lines = {line.split()[0]: line.split()[1:] for line in told.stdout.splitlines()[1:-1]}
    assert lines["start"] == [f"{NEXT_YEAR}-06-10", "→", f"{NEXT_YEAR}-06-09T18:00"]
    assert lines["end"] == [f"{NEXT_YEAR}-06-11", "→", f"{NEXT_YEAR}-06-10T18:00"]
    assert lines["length"] == ["1", "d"]
    told = run("calendar", "stretch", "sale", "--to", "48h", "--reason", "two days")
    assert "1 d" in told.stdout
    assert "→  2 d" in told.stdout
    assert [row.revision for row in read_calendar(folder)] == [1, 2, 3]


def test_a_change_in_json_holds_both_rows(run: Run) -> None:
    run("calendar", "add", "sale", *SALE, "--region", "in")
    told = json.loads(run("calendar", "cancel", "sale", "--reason", "no stock", "--json").stdout)
    assert (told["before"]["status"], told["after"]["status"]) == ("planned", "cancelled")
    assert told["after"]["reason"] == "no stock"
    assert datetime.fromisoformat(told["after"]["known_since"]) <= datetime.now(UTC)
    assert (told["written"], told["warnings"]) == (True, [])
    assert told["series"] == ["in/cart/requests", "in/checkout/requests"]
    again = json.loads(run("calendar", "cancel", "sale", "--reason", "no stock", "--json").stdout)
    assert again["written"] is False


def test_a_dry_run_shows_and_writes_nothing(run: Run, folder: Path) -> None:
    run("calendar", "add", "sale", *SALE)
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    told = run("calendar", "move", "sale", "--by", "3d", "--reason", "why", "--dry-run")
    assert f"→  {NEXT_YEAR}-06-13" in told.stdout
    assert told.stdout.endswith("Nothing was written (--dry-run).\n")
    run("mask", "add", "r1", "--start", "2024-06-10", "--end", "2024-06-11", *ROBOTS, "--dry-run")
    assert (
        "19 holidays are new" in run("calendar", "add-holidays", "--country", "IN", "--year", 2027, "--dry-run").stdout
    )
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before


def test_nothing_new_is_said_to_be_nothing(run: Run) -> None:
    run("calendar", "add", "sale", *SALE)
    told = run("calendar", "move", "sale", "--start", f"{NEXT_YEAR}-06-10", "--reason", "why")
    assert told.stdout.endswith("Nothing changes.\n")


def test_a_break_needs_no_end_and_every_other_event_does(run: Run, folder: Path) -> None:
    run("calendar", "add", "new-trend", "--kind", "break", "--start", f"{NEXT_YEAR}-01-01")
    (event,) = read_calendar(folder)
    assert event.start == event.end
    with pytest.raises(UsageError, match="Say when it is over: give --end"):
        run("calendar", "add", "sale", *SALE[:4])


@pytest.mark.parametrize(
    "change", [("calendar", "move", "x", "--by", "1d"), ("calendar", "stretch", "x", "--to", "1d"),
               ("calendar", "cancel", "x"), ("mask", "withdraw", "x"),
               ("mask", "add", "x", "--effect", "keep", "--start", "2024-06-10", "--end", "2024-06-11")]
)  # fmt: skip
def test_a_change_without_a_reason_is_not_made(run: Run, folder: Path, change: tuple[str, ...]) -> None:
    told = run(*change)
    assert told.exit_code == 2
    assert "--reason" in told.stderr
    assert not list(folder.glob("*s.csv.lock"))


def test_a_mask_is_added_and_withdrawn(run: Run, folder: Path) -> None:
    told = run("mask", "add", "r1", "--start", "2024-06-10T15:30Z", "--end", "2024-06-10T18:00Z", *ROBOTS)
    assert notes(told) == []
    assert "2 h 30 min" in told.stdout
    told = run("mask", "withdraw", "r1", "--reason", "real customers")
    assert "active  →  withdrawn" in told.stdout
    assert as_of(read_masks(folder), datetime.now(UTC)) == ()
    assert "real customers" in run("mask", "history", "r1").stdout


# -- what is listed ----------------------------------------------------------------------------------------------------


def test_the_list_is_as_known_at_any_instant(run: Run) -> None:
    run("calendar", "add", "sale", *SALE, "--known-since", "2024-01-01")
    run("calendar", "add", "launch", *SALE, "--known-since", "2024-03-01T12:00Z")
    run("calendar", "cancel", "sale", "--reason", "no stock", "--known-since", "2024-05-01")

    def ids(*options: str) -> list[str]:
        return [row["event"] for row in json.loads(run("calendar", "list", "--json", *options).stdout)]

    assert ids("--at", "2023-12-31") == []
    assert ids("--at", "2024-03-01T11:59Z") == ["sale"]
    assert ids("--at", "2024-03-01T12:00") == ["launch", "sale"]  # without a zone it is UTC
    assert ids() == ["launch"]
    assert ids("--all") == ["launch", "sale"]
    table = run("calendar", "list", "--all").stdout.splitlines()
    assert table[0].split() == [
        *("event", "kind", "name", "intensity", "region", "services", "start", "end", "length", "status")
    ]
    assert table[2].endswith("cancelled")


def test_a_source_without_a_calendar_has_an_empty_list(run: Run, folder: Path) -> None:
    assert run("calendar", "list").stdout == "There is none.\n"
    assert json.loads(run("mask", "list", "--json").stdout) == []
    assert not (folder / "calendar.csv").exists()


def test_the_history_tells_who_when_and_why(run: Run) -> None:
    run("calendar", "add", "sale", *SALE, "--author", "ana", "--known-since", "2024-01-01T08:00Z")
    run("calendar", "move", "sale", "--by", "3d", "--author", "bo", "--reason", "as announced")
    title, _, first, second = run("calendar", "history", "sale").stdout.splitlines()
    assert title == "sale"
    assert first.split()[:3] == ["1", "2024-01-01T08:00Z", "ana"]
    assert second.endswith("as announced")
    assert [row["author"] for row in json.loads(run("calendar", "history", "sale", "--json").stdout)] == ["ana", "bo"]
    with pytest.raises(UsageError, match="There is no 'sail': `list --all` shows what there is"):
        run("calendar", "history", "sail")


# -- warnings ----------------------------------------------------------------------------------------------------------


def test_a_region_or_service_without_series_is_told(run: Run) -> None:
    assert notes(run("calendar", "add", "a", *SALE, "--region", "eu")) == [
        "No series is in the region eu; series.csv has in, us."
    ]
    said = notes(run("calendar", "add", "b", *SALE, "--region", "us", "--service", "cart", "--service", "checkout"))
    assert said == ["No series in us is of checkout; series.csv has cart."]


def test_without_series_nothing_is_checked_and_that_is_told(run: Run, folder: Path) -> None:
    (folder / "series.csv").unlink()
    assert notes(run("calendar", "add", "a", *SALE, "--region", "eu")) == [
        f"There is no series.csv in {folder}: region and services were not checked."
    ]


def test_a_change_stands_although_series_csv_is_not_right(run: Run, folder: Path) -> None:
    (folder / "series.csv").write_text("nonsense\n")
    (said,) = notes(run("calendar", "add", "a", *SALE))
    assert "series.csv" in said
    assert len(read_calendar(folder)) == 1


@pytest.mark.parametrize(
    ("start", "learned"),
    [
        ("2024-06-30", True),  # begins within the last day of points
        ("2024-07-01", True),  # begins in India while that day runs in UTC
        ("2024-07-02", False),
        ("2024-07-01T00:00Z", False),
    ],
)
def test_an_event_that_the_data_holds_already_is_told(run: Run, start: str, learned: bool) -> None:
    end = "2024-08-01T00:00Z" if start.endswith("Z") else "2024-08-01"
    said = notes(run("calendar", "add", "a", "--kind", "sale", "--start", start, "--end", end))
    assert bool(said) is learned
    assert all("may have learned from those days without it" in sentence for sentence in said)
    said = notes(run("calendar", "cancel", "a", "--reason", "why"))
    assert bool(said) is learned
    assert all("may have learned from those days as it was" in sentence for sentence in said)


def test_an_overlap_with_an_event_of_the_same_kind_is_told(run: Run) -> None:
    run("calendar", "add", "first", *SALE, "--region", "in", "--service", "cart")
    assert notes(run("calendar", "add", "elsewhere", *SALE, "--region", "us")) == []
    assert notes(run("calendar", "add", "other-service", *SALE, "--region", "in", "--service", "checkout")) == []
    assert notes(run("calendar", "add", "other-kind", "--kind", "launch", *SALE[2:])) == []
    after = ("--kind", "sale", "--start", f"{NEXT_YEAR}-06-11", "--end", f"{NEXT_YEAR}-06-12", "--region", "in")
    assert notes(run("calendar", "add", "next-day", *after)) == []
    said, other = notes(run("calendar", "move", "next-day", "--by", "-1h", "--reason", "why", "--dry-run"))
    assert said.startswith(f"first is a sale at the same time, {NEXT_YEAR}-06-10 to {NEXT_YEAR}-06-11")
    run("calendar", "cancel", "first", "--reason", "why")
    assert notes(run("calendar", "move", "next-day", "--by", "-1h", "--reason", "why")) == [other]
    assert other.startswith("other-service is a sale at the same time")


def test_the_overlap_is_found_on_the_clock_of_the_series(run: Run) -> None:
    """18:00 to 20:00 in India is 12:30 to 14:30 UTC."""
    day = f"{NEXT_YEAR}-06-10"
    local = ("--kind", "sale", "--start", f"{day}T18:00", "--end", f"{day}T20:00", "--region", "in")
    run("calendar", "add", "local", *local)
    assert (
        notes(run("calendar", "add", "a", "--kind", "sale", "--start", f"{day}T18:00Z", "--end", f"{day}T20:00Z")) == []
    )
    (said,) = notes(run("calendar", "add", "b", "--kind", "sale", "--start", f"{day}T13:00Z", "--end", f"{day}T14:00Z"))
    assert said.startswith("local is a sale at the same time")


def test_a_mask_that_leaves_little_to_learn_from_is_told(run: Run) -> None:
    """The points end with June: the last four weeks begin on 3 June."""
    add = ("mask", "add", "--region", "in", *ROBOTS, "--start")
    assert notes(run(*add, "2024-06-05T00:00Z", "--end", "2024-06-28T00:00Z", "c", "--effect", "keep")) == []
    assert notes(run(*add, "2024-06-05T00:00Z", "--end", "2024-06-12T00:00Z", "a", "--service", "cart")) == []
    (said,) = notes(run(*add, "2024-06-11T00:00Z", "--end", "2024-06-14T00:00Z", "b"))
    assert said == "Masks now cover 32% of the last four weeks of in/cart/requests: little is left to learn from."
    assert notes(run(*add, "2024-04-01", "--end", "2024-05-20", "long-ago")) == []
    assert notes(run("mask", "withdraw", "a", "--reason", "why")) == []
    (said,) = notes(run(*add, "2024-06-01T00:00Z", "--end", "2027-06-01T00:00Z", "d"))
    assert said.startswith("Masks now cover 100% of the last four weeks of in/c")
    assert "and more than 30% of 1 other series" in said


def test_what_counts_only_later_is_told(run: Run) -> None:
    later = (datetime.now(UTC) + timedelta(days=1)).strftime("%Y-%m-%dT%H:%MZ")
    (said,) = notes(run("calendar", "add", "a", *SALE, "--known-since", later))
    assert "which is yet to come: nothing sees it before" in said


# -- holidays ----------------------------------------------------------------------------------------------------------


def test_holidays_are_added_once(run: Run, folder: Path) -> None:
    year = ("calendar", "add-holidays", "--country", "IN", "--year", 2027, "--region", "in")
    *table, told = run(*year).stdout.splitlines()
    count = len(table) - 1
    assert told == f"{count} holidays are new, 0 were there and stay. Written."
    run("calendar", "move", "in-diwali-deepavali-2027", "--start", "2027-11-07", "--reason", "as announced")
    before = (folder / "calendar.csv").read_bytes()
    again = run(*year)
    assert again.stdout == f"0 holidays are new, {count} were there and stay. Nothing changes.\n"
    assert "in-diwali-deepavali-2027 stays on 2027-11-07" in again.stderr
    answer = json.loads(run(*year, "--json").stdout)
    assert (len(answer["added"]), len(answer["kept"]), answer["written"]) == (0, count, False)
    assert (folder / "calendar.csv").read_bytes() == before


# -- bad input and help ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("calendar", "list", "--at", "yesterday"), "'yesterday' is no date or time: write 2026-01-22"),
        (("calendar", "move", "a", "--by", "a week", "--reason", "x"), "'a week' is no length: write 48h, 3d, -6h"),
        (("calendar", "add", "a", "--kind", "sale", "--start", "soon", "--end", "later"), "start: 'soon' is no time"),
        (("calendar", "add", "a", *SALE, "--author", ""), "Say who makes the change"),
        (("mask", "add", "a", "--start", "2024-06-10", "--end", "2024-06-11", *ROBOTS[2:], "--effect", "bots"),
         "effect: 'bots' is unknown: write robots or"),
        (("calendar", "add-holidays", "--country", "XX", "--year", "2027"), "There is no table of holidays for 'XX'"),
    ],
)  # fmt: skip
def test_bad_input_is_one_sentence(run: Run, arguments: tuple[str, ...], said: str) -> None:
    with pytest.raises(UsageError) as refused:
        run(*arguments)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_store_is_no_folder_to_edit_in() -> None:
    for place, said in {
        "s3://bucket/shop": "The calendar is edited in a local folder, and s3://bucket/shop is none: copy calendar.csv",
        "/nowhere": "There is no folder /nowhere: check --in",
    }.items():
        result = CliRunner().invoke(app, ["calendar", "list", "--in", place])
        assert isinstance(result.exception, UsageError)
        assert str(result.exception).startswith(said)


def test_a_calendar_that_is_not_right_is_refused(run: Run, folder: Path) -> None:
    (folder / "calendar.csv").write_text("event\n")
    with pytest.raises(DataRefused, match="line 1: the column revision, kind"):
        run("calendar", "list")


def test_a_login_without_a_name_is_asked_for_one(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> str:
        raise KeyError("getpwuid(): uid not found: 12345")

    monkeypatch.setattr(getpass, "getuser", nobody)
    with pytest.raises(UsageError, match="say who you are with --author"):
        run("calendar", "add", "sale", *SALE)


@pytest.mark.parametrize("group", ["calendar", "mask"])
def test_the_help_of_every_command_gives_an_example(group: str) -> None:
    commands = (calendar_app if group == "calendar" else mask_app).registered_commands
    assert len(commands) == {"calendar": 7, "mask": 5}[group]
    for command in commands:
        assert command.callback is not None
        name = command.name or command.callback.__name__
        told = " ".join(CliRunner().invoke(app, [group, name, "--help"]).output.split())
        assert f"headgate capacity {group} {name} " in told


def test_the_commands_load_nothing_heavy() -> None:
    script = (
        "import sys, headgate.domains.capacity.commands.calendar\n"
        "heavy = {'polars', 'numpy', 'holidays', 'torch', 'prophet'}\n"
        "sys.exit(' '.join(heavy & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "\n")
