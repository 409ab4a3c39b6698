"""Lookups: what was loaded is answered, never late, whatever becomes of the database."""

import asyncio
import json
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any, cast

import polars as pl
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from prometheus_client import REGISTRY
from typer.testing import CliRunner

from headgate import settings as settings_module
from headgate.cli import app
from headgate.domains.adclicks.companions import lookup_tables
from headgate.domains.adclicks.companions.followed import COMPANIONS, LOOKUPS, identify, loads
from headgate.domains.adclicks.companions.lookups import FRESH, PATIENCE, TOGETHER, Lookups
from headgate.errors import DataRefused, HeadgateError, UsageError
from headgate.serving.companions import CompanionFollower
from headgate.settings import Settings

from ....clocks import Clock
from ....postgres import Postgres, postgres

__all__ = ["postgres"]  # a fixture


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def embedded(tmp_path: Path) -> Settings:
    """The file in a state folder of its own."""
    return replace(settings_module.load(), home=tmp_path / "state", lookups=None)


@pytest.fixture(params=["sqlite", "postgresql"])
def settings(request: pytest.FixtureRequest, embedded: Settings) -> Settings:
    """Each of the two databases, with nothing in it."""
    if request.param == "sqlite":
        return embedded
    postgres: Postgres = request.getfixturevalue("postgres")
    return replace(embedded, lookups=postgres.url(postgres.database()))


def load(settings: Settings, accounts: dict[str, int]) -> None:
    rows = pl.DataFrame({"user_id": list(accounts), "rfm": list(accounts.values())})
    lookup_tables.replace(settings, "accounts", rows)


def told(lookups: Lookups, *users: str) -> list[int | None]:
    """What is answered once the database was asked."""
    for user in users:
        lookups.rfm(user)
    for _ in range(4):  # of so many keys each
        lookups.refresh()
    return [lookups.rfm(user) for user in users]


def away() -> float | None:
    return REGISTRY.get_sample_value("headgate_lookups_away")


KEYS = st.text(min_size=1, max_size=30).filter(lambda key: "\0" not in key and key.isprintable())


@examples(max_examples=10)
@given(st.dictionaries(KEYS, st.integers(3, 15), min_size=1), st.lists(st.text(max_size=300)))
def test_what_was_loaded_is_answered_after_one_miss(accounts: dict[str, int], others: list[str]) -> None:
    with TemporaryDirectory() as folder:
        here = replace(settings_module.load(), home=Path(folder), lookups=None)
        load(here, accounts)
        lookups = Lookups(here)
        assert [lookups.rfm(user) for user in accounts] == [None] * len(accounts)
        assert told(lookups, *accounts, *others, "\ud800", "a\0b") == [
            *accounts.values(),
            *(accounts.get(other) for other in others),
            None,
            None,
        ]


def test_both_tables_in_both_databases(settings: Settings) -> None:
    load(settings, {f"u{n}": 3 + n % 13 for n in range(25_000)})
    lookup_tables.replace(settings, "campaigns", pl.DataFrame({"campaign": ["spring"], "advertiser": ["Ünlü"]}))
    lookups = Lookups(settings)
    assert told(lookups, *(f"u{n}" for n in range(3 * TOGETHER))) == [3 + n % 13 for n in range(3 * TOGETHER)]
    for impossible in ("\ud800", "a\0b", "x" * 300):  # must not fail the question that others are in
        assert lookups.advertiser(impossible) is None
    assert (lookups.advertiser("spring"), lookups.advertiser("autumn")) == (None, None)
    assert lookups.refresh()
    assert (lookups.advertiser("spring"), lookups.advertiser("autumn")) == ("Ünlü", None)
    assert lookup_tables.show(settings, "u1") == {"accounts": 4, "campaigns": None}


def test_a_load_is_followed_after_a_minute_and_the_old_value_answered_until_then(
    settings: Settings, clock: Clock
) -> None:
    load(settings, {"stays": 3, "goes": 4})
    lookups = Lookups(settings, clock=clock)
    assert told(lookups, "stays", "goes", "comes") == [3, 4, None]
    load(settings, {"stays": 5, "comes": 6})
    clock.now += FRESH - 1
    assert told(lookups, "stays", "goes", "comes") == [3, 4, None]
    clock.now += 2
    assert [lookups.rfm(user) for user in ("stays", "goes", "comes")] == [3, 4, None]  # and they are asked for
    assert told(lookups, "stays", "goes", "comes") == [5, None, 6]


def follow(settings: Settings) -> CompanionFollower:
    return CompanionFollower([cast(Any, SimpleNamespace(name="adclicks", companions=COMPANIONS))], settings)


def test_a_load_counts_once_it_is_in_force_and_what_was_used_last_is_asked_for_first(
    settings: Settings, clock: Clock
) -> None:
    load(settings, {"stays": 3, "goes": 4} | {f"u{n}": 7 for n in range(TOGETHER)})
    follower = follow(settings)
    lookups = Lookups(settings, clock=clock, current=lambda: follower.companions.of("adclicks").get(LOOKUPS))
    assert told(lookups, *(f"u{n}" for n in range(TOGETHER)), "stays", "goes", "comes")[-3:] == [3, 4, None]
    assert lookups.companion == "", "nobody has looked yet"
    follower.look("adclicks")
    lookups.renew()
    before = lookups.companion
    assert before == follower.companions.of("adclicks")[LOOKUPS].entry
    assert told(lookups, "stays", "goes", "comes") == [3, 4, None]
    lookups.renew()
    assert told(lookups, "stays") == [3], "nothing is forgotten where nothing was loaded"
    load(settings, {"stays": 5, "comes": 6})
    lookups.renew()
    assert (told(lookups, "stays"), lookups.companion) == ([3], before)
    follower.look("adclicks")
    lookups.renew()
    assert lookups.companion == follower.companions.of("adclicks")[LOOKUPS].entry != before
    assert lookups.refresh(), "in the first question, though no request has asked for it since"
    assert [lookups.rfm(user) for user in ("stays", "goes", "comes")] == [5, None, 6]


def test_a_load_has_an_id_that_is_the_same_for_the_same_rows(settings: Settings) -> None:
    assert identify(settings) is None
    load(settings, {"a": 3, "b": 4})
    first = identify(settings)
    load(settings, {"b": 4, "a": 3})
    assert identify(settings) == first
    load(settings, {"a": 3, "b": 5})
    second = identify(settings)
    assert second not in (None, first)
    lookup_tables.replace(settings, "campaigns", pl.DataFrame({"campaign": ["spring"], "advertiser": ["Acme"]}))
    assert identify(settings) not in (None, first, second)
    assert {name: load.rows for name, load in loads(settings).items()} == {"accounts": 2, "campaigns": 1}


def test_a_database_of_before_loads_were_noted_is_read_on(settings: Settings) -> None:
    load(settings, {"a": 3})
    from sqlalchemy import create_engine, text

    from headgate.registry.tables import with_driver

    address = settings.lookups_url
    engine = create_engine(with_driver(address) if address.startswith("postgresql") else address)
    with engine.begin() as connection:
        connection.execute(text("drop table headgate_lookup_loads"))
    engine.dispose()
    assert identify(settings) is None
    assert told(Lookups(settings), "a") == [3]


def test_a_database_that_is_away_leaves_the_load_in_force_and_is_said(embedded: Settings) -> None:
    load(embedded, {"a": 3})
    follower = follow(embedded)
    follower.look("adclicks")
    before = follower.companions.of("adclicks")[LOOKUPS]
    file = embedded.home / "lookups.db"
    file.rename(embedded.home / "aside.db")
    file.write_bytes(b"no database" * 100)
    follower.look("adclicks")
    assert follower.companions.of("adclicks")[LOOKUPS] is before
    assert "stays in force: The lookups' database does not answer" in str(
        follower.companions.problem("adclicks", LOOKUPS)
    )


def test_without_a_load_nothing_is_known_and_no_file_is_made(embedded: Settings) -> None:
    lookups = Lookups(embedded)
    assert told(lookups, "u") == [None]
    assert (away(), (embedded.home / "lookups.db").exists()) == (0, False)


def test_nobodys_name_lies_in_the_database(embedded: Settings) -> None:
    load(embedded, {"somebody@example.org": 5})
    assert told(Lookups(embedded), "somebody@example.org") == [5]
    assert not any(b"somebody" in file.read_bytes() for file in embedded.home.iterdir())


def test_a_database_that_is_away_is_said_once_and_answers_go_on(
    postgres: Postgres, embedded: Settings, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    name = postgres.database()
    there = replace(embedded, lookups=postgres.url(name))
    load(there, {"known": 7, "new": 8})
    lookups = Lookups(there, clock=clock)
    assert told(lookups, "known") == [7]
    postgres.execute(f"alter database {name} allow_connections false")
    postgres.execute(f"select pg_terminate_backend(pid) from pg_stat_activity where datname = '{name}'")
    clock.now += 2 * FRESH
    for _ in range(3):
        assert [lookups.rfm("known"), lookups.rfm("new")] == [7, None]
        assert not lookups.refresh()
    assert away() == 1
    assert [
        record.levelname for record in caplog.records if record.name == "headgate.domains.adclicks.companions.lookups"
    ] == ["ERROR"]
    postgres.execute(f"alter database {name} allow_connections true")
    assert told(lookups, "known", "new") == [7, 8]
    assert away() == 0


def test_a_database_that_hangs_delays_no_request_and_is_said(
    embedded: Settings, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(embedded, {"u": 7})
    lookups = Lookups(embedded, clock=clock)
    asked, answer = threading.Event(), threading.Event()
    ask = lookup_tables.Database.ask

    def hanging(*question: Any) -> Any:
        asked.set()
        answer.wait(30)
        return ask(*question)

    monkeypatch.setattr(lookup_tables.Database, "ask", hanging)
    lookups.start()
    assert lookups.rfm("u") is None
    assert asked.wait(30)
    clock.now += PATIENCE + 1
    assert lookups.rfm("another") is None
    assert away() == 1
    answer.set()
    lookups.stop()
    assert (lookups.rfm("u"), away()) == (7, 0)


def test_the_list_of_what_is_asked_for_is_bounded(embedded: Settings) -> None:
    users = [f"u{n}" for n in range(100)]
    load(embedded, dict.fromkeys(users, 5))
    lookups = Lookups(embedded, waiting=20)
    for known in range(0, 100, 20):  # what found no place is asked for at a later request
        assert sum(lookups.rfm(user) is not None for user in users) == known
        assert lookups.refresh()
    assert [lookups.rfm(user) for user in users] == [5] * 100


def test_the_memory_is_bounded_and_what_is_used_stays(embedded: Settings) -> None:
    load(embedded, {f"u{n}": 5 for n in range(100)})
    lookups = Lookups(embedded, remembered=10)
    assert [lookups.rfm(f"u{n}") for n in range(100)] == [None] * 100
    assert lookups.refresh()
    assert [lookups.rfm(f"u{n}") for n in range(90, 100)] == [5] * 10
    for n in range(50):
        told(lookups, f"v{n}")
        assert lookups.rfm("u99") == 5
    assert sum(lookups.rfm(f"u{n}") is not None for n in range(100)) == 1


def test_the_thread_learns_of_what_requests_ask_for(settings: Settings) -> None:
    load(settings, {"u": 9})

    async def ask() -> int | None:
        lookups = Lookups(settings)
        async with lookups.beside():
            for _ in range(3000):
                if (found := lookups.rfm("u")) is not None:
                    break
                await asyncio.sleep(0.01)
        assert "headgate-lookups" not in [thread.name for thread in threading.enumerate()]
        return found

    assert asyncio.run(ask()) == 9


def test_another_process_loads_while_this_one_reads(settings: Settings, clock: Clock, tmp_path: Path) -> None:
    load(settings, {"u": 3})
    lookups = Lookups(settings, clock=clock)
    assert told(lookups, "u") == [3]
    file = tmp_path / "accounts.csv"
    file.write_text("rfm,user_id,more\n12,u,x\n15,Ü,y\n")
    environment = {"HEADGATE_HOME": str(settings.home), "HEADGATE_LOOKUPS": settings.lookups or ""}
    command = [sys.executable, "-m", "headgate.cli", "adclicks", "lookups", "load", file, "--table", "accounts"]
    done = subprocess.run(
        [*command, "--json"], env=os.environ | environment, capture_output=True, check=True, timeout=60
    )
    assert json.loads(done.stdout) == {"table": "accounts", "rows": 2, "before": 1}
    clock.now += 2 * FRESH
    assert told(lookups, "u", "Ü") == [12, 15]


def test_who_reads_the_file_does_not_wait_for_a_load(embedded: Settings) -> None:
    load(embedded, {"u": 3})
    with closing(sqlite3.connect(embedded.home / "lookups.db", isolation_level=None)) as writer:
        writer.execute("begin exclusive")
        writer.execute("delete from headgate_accounts")
        assert told(Lookups(embedded), "u") == [3]
        assert away() == 0


def test_a_load_that_fails_half_way_leaves_what_was_there(settings: Settings, clock: Clock) -> None:
    load(settings, {"u": 3})
    twice = pl.DataFrame({"user_id": [*(f"u{n}" for n in range(20_000)), "u0"], "rfm": [5] * 20_001})
    with pytest.raises(HeadgateError, match="not loaded"):
        lookup_tables.replace(settings, "accounts", twice)
    assert told(Lookups(settings, clock=clock), "u", "u0") == [3, None]


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([("a", "3"), ("b", "16")], "row 2: rfm is not a whole number from 3 to 15"),
        ([("a", "7.5")], "row 1: rfm is not a whole"),
        ([("a", "seven")], "row 1: rfm is not a whole"),
        ([("a", None)], "row 1: rfm is not a whole"),
        ([("a", "3"), ("b", "3"), ("a", "3")], "row 3: user_id was there before"),
        ([("a", "3"), (None, "3")], "row 2: user_id is empty"),
        ([("a" * 257, "3")], "row 1: user_id is longer than 256"),
        ([], "holds no rows"),
    ],
)
def test_bad_rows_are_named_and_refused(
    rows: list[tuple[str | None, str | None]], said: str, suffix: str, tmp_path: Path
) -> None:
    frame = pl.DataFrame(rows, schema={"user_id": pl.String, "rfm": pl.String}, orient="row")
    file = tmp_path / f"accounts{suffix}"
    frame.write_csv(file) if suffix == ".csv" else frame.write_parquet(file)
    with pytest.raises(DataRefused, match=said):
        lookup_tables.read(file, "accounts")


@pytest.mark.parametrize(
    ("name", "content", "error", "said"),
    [
        ("a.csv", b"user,rfm\na,3\n", DataRefused, "lacks the column user_id"),
        ("a.csv", b"", DataRefused, "cannot be read"),
        ("a.csv", b"user_id,rfm\n\xff\xfe,3\n", DataRefused, "cannot be read"),
        ("a.parquet", b"no parquet", DataRefused, "cannot be read"),
        ("a.txt", b"user_id,rfm\n", UsageError, "neither .csv nor .parquet"),
    ],
)
def test_files_that_are_none_are_refused(
    name: str, content: bytes, error: type[Exception], said: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(error, match=said):
        lookup_tables.read(tmp_path / name, "accounts")


def test_whole_numbers_of_other_types_are_taken(tmp_path: Path) -> None:
    file = tmp_path / "a.parquet"
    pl.DataFrame({"user_id": [1, 2], "rfm": [3.0, 15.0]}).write_parquet(file)
    assert lookup_tables.read(file, "accounts").rows() == [("1", 3), ("2", 15)]


@pytest.mark.parametrize("url", ["mysql://db/x", "sqlite://", "no address", "sqlite:///:memory:"])
def test_other_databases_are_refused_without_telling_the_address(embedded: Settings, url: str) -> None:
    with pytest.raises(UsageError, match="HEADGATE_LOOKUPS names no database") as refused:
        Lookups(replace(embedded, lookups=url))
    assert "db/x" not in str(refused.value)


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    """Run `headgate adclicks lookups …` in a state folder of its own."""
    monkeypatch.setenv("HEADGATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("HEADGATE_LOOKUPS", raising=False)
    runner = CliRunner()
    return lambda *words: runner.invoke(app, ["adclicks", "lookups", *map(str, words)], catch_exceptions=True)


def test_commands_load_and_show(command: Callable[..., Any], tmp_path: Path) -> None:
    assert command("show", "spring").output == "Nothing is known of spring.\n"
    file = tmp_path / "campaigns.csv"
    file.write_text("campaign,advertiser\nspring,Acme\n")
    assert "1 campaigns are in place of 0" in command("load", file, "--table", "campaigns").output
    assert command("show", "spring").output == "campaign spring: advertiser Acme\n"
    told = json.loads(command("show", "spring", "--json").output)
    assert told == {"accounts": None, "campaigns": "Acme"}
    assert isinstance(command("load", file, "--table", "no").exception, UsageError)
