"""The ledger: what it holds is what was written, whoever writes at once and whoever alters it; and its leases."""

import json
import os
import signal
import sqlite3
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from headgate import settings as settings_module
from headgate.errors import HeadgateError, UsageError
from headgate.registry.ledger import Busy, Entry, Fenced, Lease, Ledger, OwnWhat
from headgate.settings import Settings

from .. import killing
from ..postgres import Postgres
from . import acts

#: How long anything in another process may take. Nothing waits for it to pass.
PATIENCE = 60.0

#: Anything that a program or a command line can say, odd bytes (lone surrogates) and NUL included.
TEXT = st.text(st.characters(), max_size=12)
DETAILS = st.dictionaries(
    TEXT | st.integers(-9, 99), st.recursive(st.none() | st.booleans() | st.floats() | TEXT, st.lists, max_leaves=3)
)
ENTRIES = st.builds(
    Entry,
    st.sampled_from(["rooms", "halls"]),
    st.sampled_from(["verdict", "intent", "changed", "hold", "alert"]),
    TEXT,
    why=TEXT,
    from_version=st.none() | st.integers(0, 2**31 - 1),
    to_version=st.none() | st.integers(0, 2**31 - 1),
    bundle=st.text("0123456789abcdef", max_size=64),
    ruling=st.sampled_from(["", "passed", "refused"]),
    details=DETAILS,
)
EXAMPLES = hypothesis_settings(max_examples=30)


def fresh(home: str) -> tuple[Ledger, Settings]:
    settings = replace(settings_module.load(), home=Path(home))
    return Ledger(settings), settings


def sql(settings: Settings, *statements: tuple[str, tuple[Any, ...]]) -> None:
    """Alter the ledger's database behind its back."""
    with sqlite3.connect(settings.home / "ledger.db") as connection:
        for statement, values in statements:
            connection.execute(statement, values)
    connection.close()


def test_a_glance_tells_that_something_was_written(tmp_path: Path) -> None:
    ledger, settings = fresh(str(tmp_path))
    ledger.append(Entry("rooms", "alert", "me"))
    before = ledger.mark()
    assert (ledger.head(), ledger.entries(), ledger.mark()) == (ledger.entries()[-1], ledger.entries(), before)
    Ledger(settings).append(Entry("rooms", "alert", "someone else"))
    assert ledger.mark() != before


def written(ledger: Ledger, count: int) -> list[Entry]:
    return [ledger.append(Entry("rooms", "alert", "me", f"entry {n}", details={"n": n})) for n in range(count)]


@EXAMPLES
@given(st.lists(ENTRIES, max_size=5))
def test_what_is_appended_is_read_again_and_verifies(entries: list[Entry]) -> None:
    with tempfile.TemporaryDirectory() as home:
        ledger, settings = fresh(home)
        told = [ledger.append(entry) for entry in entries]
        again = Ledger(settings).entries()
        assert [entry.digest() for entry in again] == [entry.hash for entry in told]  # a NaN is not itself
        assert ledger.verify(entry.anchor for entry in told) == len(entries)
        assert [entry.seq for entry in again] == list(range(1, len(entries) + 1))
        mine = [entry.hash for entry in ledger.entries("halls")]
        assert mine == [entry.hash for entry in told if entry.domain == "halls"]


def test_a_domain_writes_what_only_it_knows_under_its_own_name_and_no_other(settings: Settings) -> None:
    ledger = Ledger(settings)
    ledger.append(Entry("rooms", OwnWhat("rooms.window-opened"), "a test"))
    for what in ("window-opened", "halls.window-opened", "rooms.", "rooms.Window opened", "xrooms.opened"):
        with pytest.raises(ValueError, match="one of rooms's own begins with its name"):
            ledger.append(Entry("rooms", OwnWhat(what), "a test"))
    assert [entry.what for entry in ledger.entries("rooms")] == ["rooms.window-opened"]
    assert ledger.verify() == 1


def test_odd_text_is_stored_in_both_databases(anywhere: Settings) -> None:
    """A reason from a command line can hold bytes that are no UTF-8; a tag can hold NUL."""
    ledger = Ledger(anywhere)
    told = ledger.append(Entry("rooms", "alert", "me\udcff", "a\0b", details={"tag": "\udcff\0", "odd": (1, {2: 3})}))
    assert ledger.entries() == [told]
    assert told.why == "a\N{REPLACEMENT CHARACTER}b"
    assert told.details["odd"] == [1, {"2": 3}]
    assert ledger.verify() == 1


COLUMNS = {
    "seq": 99,
    "domain": "other",
    "what": "released",
    "from_version": 77,
    "to_version": 77,
    "bundle": "f" * 64,
    "ruling": "passed",
    "at": "2020-01-01T00:00:00.000+00:00",
    "who": "someone else",
    "why": "another reason",
    "run_id": "another",
    "data": "another",
    "details": '{"n": 77}',
    "prev_hash": "e" * 64,
    "hash": "d" * 64,
}


@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("row", [1, 2, 4])
def test_any_altered_field_shows(settings: Settings, column: str, row: int) -> None:
    ledger = Ledger(settings)
    written(ledger, 4)
    sql(settings, (f"update headgate_ledger set {column} = ? where seq = ?", (COLUMNS[column], row)))
    with pytest.raises(HeadgateError, match="The ledger is not what it was"):
        ledger.verify()


@pytest.mark.parametrize("details", ["", "{", "[]", "null", "7", '{"n":  1}', '{"n": 7, "n": 1}', b"\xff"])
def test_details_that_are_no_longer_what_was_written_show(settings: Settings, details: object) -> None:
    """Broken JSON, and JSON that other readers of the table would read in another way."""
    ledger = Ledger(settings)
    written(ledger, 3)
    sql(settings, ("update headgate_ledger set details = ? where seq = 2", (details,)))
    with pytest.raises(HeadgateError, match=r"entry 2 was altered"):
        ledger.verify()


@EXAMPLES
@given(st.data())
def test_rows_that_are_deleted_swapped_copied_or_slipped_in_show(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as home:
        ledger, settings = fresh(home)
        count = data.draw(st.integers(2, 5))
        told = written(ledger, count)
        one = data.draw(st.integers(1, count))
        other = data.draw(st.integers(1, count).filter(lambda seq: seq != one))
        forged = replace(told[-1], seq=count + 1, prev_hash=told[-1].hash, what="released", why="slipped in")
        what = data.draw(st.sampled_from(["delete", "swap", "insert", "reuse a hash"]))
        match what:
            case "delete":
                sql(settings, ("delete from headgate_ledger where seq = ?", (one,)))
            case "swap":
                moves = [(-1, one), (one, other), (other, -1)]
                sql(settings, *(("update headgate_ledger set seq = ? where seq = ?", move) for move in moves))
            case _:
                wrong = "c" * 64 if what == "insert" else told[one - 1].hash[::-1]
                row = {k: v for k, v in vars(replace(forged, hash=wrong)).items() if k != "details"}
                names = ", ".join([*row, "details"])
                marks = ", ".join("?" * (len(row) + 1))
                line = (f"insert into headgate_ledger ({names}) values ({marks})", (*row.values(), "{}"))
                sql(settings, line)
        anchors = [entry.anchor for entry in told]
        with pytest.raises(HeadgateError, match="The ledger is not what it was"):
            ledger.verify(anchors)
        if what != "delete" or one != count:  # only a tail that was cut needs an anchor
            with pytest.raises(HeadgateError, match="The ledger is not what it was"):
                ledger.verify()


@pytest.mark.parametrize("cut", [1, 2, 3])
def test_a_tail_that_was_cut_shows_by_its_anchor(settings: Settings, cut: int) -> None:
    ledger = Ledger(settings)
    told = written(ledger, 3)
    sql(settings, ("delete from headgate_ledger where seq > ?", (3 - cut,)))
    assert ledger.verify() == 3 - cut
    with pytest.raises(HeadgateError, match=r"entry 3 was seen elsewhere"):
        ledger.verify([told[-1].anchor])


def test_a_history_written_anew_shows_by_an_anchor(settings: Settings, tmp_path: Path) -> None:
    """Who may write to the database can compute every hash again; the anchor outside of it is what remains."""
    ledger = Ledger(settings)
    told = written(ledger, 3)
    other, _ = fresh(str(tmp_path / "other"))
    written(other, 3)
    (tmp_path / "other" / "ledger.db").replace(settings.home / "ledger.db")
    assert ledger.verify() == 3
    with pytest.raises(HeadgateError, match=r"entry 2 was seen elsewhere"):
        ledger.verify([told[1].anchor])


@pytest.mark.parametrize("forged", ["", ":", "x", "²:abc", "9" * 5000, "1", "-1:0", "0:" + "0" * 64])
def test_an_anchor_that_says_nothing_sensible_is_reported_not_stumbled_over(settings: Settings, forged: str) -> None:
    ledger = Ledger(settings)
    written(ledger, 1)
    with pytest.raises(HeadgateError, match="was seen elsewhere"):
        ledger.verify([forged])


def test_several_processes_lose_nothing_even_while_none_has_made_the_tables(anywhere: Settings) -> None:
    started = [killing.process(acts.append, anywhere, f"process {n}", 15) for n in range(4)]
    together(started)
    ledger = Ledger(anywhere)
    assert ledger.verify() == 60
    for n in range(4):
        mine = [entry.why for entry in ledger.entries() if entry.who == f"process {n}"]
        assert mine == [str(number) for number in range(15)]


def test_two_that_find_no_tables_make_them_one_after_the_other(postgres: Postgres, settings: Settings) -> None:
    """The second asks while the first is about to make them."""
    from sqlalchemy import Engine, event

    name = postgres.database()
    there = replace(settings, ledger=postgres.url(name))
    second = threading.Thread(target=Ledger, args=(there,))
    waiting = "select count(*) from pg_locks where locktype = 'advisory' and not granted"

    def about_to(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        if "CREATE TABLE headgate_ledger" in statement and second.ident is None:
            second.start()
            until(lambda: not second.is_alive() or postgres.ask(waiting) > 0)

    event.listen(Engine, "before_cursor_execute", about_to)
    try:
        Ledger(there).append(Entry("rooms", "alert", "me"))
    finally:
        event.remove(Engine, "before_cursor_execute", about_to)
    second.join(PATIENCE)
    assert not second.is_alive()


def together(started: list[Any]) -> None:
    """Let processes go at the same moment, and see that all end well."""
    for _, pipe in started:
        assert pipe.recv() == "ready"
    for _, pipe in started:
        pipe.send("go")
    for process, pipe in started:
        assert pipe.poll(PATIENCE)
        assert pipe.recv() == "done"
        process.join(PATIENCE)


def test_only_one_process_at_a_time_holds_a_lease(anywhere: Settings, tmp_path: Path) -> None:
    counter = tmp_path / "counter"
    counter.write_text("0")
    together([killing.process(acts.count_up, anywhere, str(counter), 8) for _ in range(3)])
    assert counter.read_text() == "24"


def test_a_lease_keeps_others_out_until_it_is_given_back(anywhere: Settings) -> None:
    ledger, other = Ledger(anywhere), Ledger(anywhere)
    with ledger.lease("registry/rooms") as lease:
        with pytest.raises(Busy, match="changing rooms"), other.lease("registry/rooms", wait=0.0):
            pass
        with other.lease("registry/halls", wait=0.0):
            ledger.renew(lease)
    with other.lease("registry/rooms", wait=0.0) as next_one:
        assert next_one.token > lease.token


def test_a_lease_is_given_back_by_a_block_that_fails(anywhere: Settings) -> None:
    ledger = Ledger(anywhere)
    with pytest.raises(KeyError), ledger.lease("one"):
        raise KeyError
    with ledger.lease("one", wait=0.0):
        pass


def test_a_lease_that_ran_out_passes_to_the_next_and_its_holder_is_fenced(anywhere: Settings) -> None:
    ledger, other = Ledger(anywhere), Ledger(anywhere)
    with ledger.lease("one", seconds=0.05) as lost:
        with other.lease("one", wait=PATIENCE) as held:  # waits only until the first has run out
            assert held.token == lost.token + 1
            with pytest.raises(Fenced):
                ledger.append(Entry("rooms", "changed", "late", to_version=1), lost)
            with pytest.raises(Fenced):
                ledger.renew(lost)
            other.append(Entry("rooms", "alert", "in time"), held)
        with pytest.raises(Fenced):  # given back by the next is not given back to the one before
            ledger.renew(lost)
    assert [entry.who for entry in ledger.entries()] == ["in time"]


def test_a_late_holder_does_not_give_back_what_another_holds(anywhere: Settings) -> None:
    ledger, other = Ledger(anywhere), Ledger(anywhere)
    late = ledger.lease("one", seconds=0.05)
    late.__enter__()
    with other.lease("one", wait=PATIENCE):
        late.__exit__(None, None, None)
        with pytest.raises(Busy), ledger.lease("one", wait=0.0):
            pass


def test_a_lease_that_nobody_took_over_is_still_its_holders(anywhere: Settings) -> None:
    """Too slow is no fault as long as nobody else has begun."""
    ledger = Ledger(anywhere)
    with ledger.lease("one", seconds=0.0) as lease:
        ledger.append(Entry("rooms", "alert", "me"), lease)
        ledger.renew(lease)
        with pytest.raises(Busy), Ledger(anywhere).lease("one", wait=0.0):
            pass


def test_a_lease_of_nobody_is_fenced(anywhere: Settings) -> None:
    with pytest.raises(Fenced):
        Ledger(anywhere).append(Entry("rooms", "alert", "me"), Lease("never given out", 1))


def test_a_lease_renewed_while_another_asks_stays(postgres: Postgres, settings: Settings) -> None:
    """The other has read that it ran out, and its holder renews before the other writes that it takes over."""
    from sqlalchemy import event

    there = replace(settings, ledger=postgres.url(postgres.database()))
    holder, asker = Ledger(there), Ledger(there)
    with holder.lease("one", seconds=0.0) as lease:

        @event.listens_for(asker._engine, "before_cursor_execute")
        def renewed(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
            if statement.startswith("UPDATE headgate_leases"):
                holder.renew(lease)

        with pytest.raises(Busy), asker.lease("one", wait=0.0):
            pass
        holder.append(Entry("rooms", "alert", "me"), lease)


def test_a_holder_stopped_past_its_lease_finds_itself_fenced(anywhere: Settings) -> None:
    process, pipe = killing.process(acts.hold_a_lease, anywhere, 0.3)
    assert pipe.recv() == "held"
    os.kill(process.pid, signal.SIGSTOP)
    try:
        until(lambda: psutil.Process(process.pid).status() == psutil.STATUS_STOPPED)
        with Ledger(anywhere).lease("registry/rooms", wait=PATIENCE) as lease:
            os.kill(process.pid, signal.SIGCONT)
            pipe.send("go on")
            assert pipe.recv() == ["Fenced", "Fenced"]
            Ledger(anywhere).append(Entry("rooms", "alert", "the next"), lease)
    finally:
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)
    process.join(PATIENCE)
    assert [entry.who for entry in Ledger(anywhere).entries()] == ["the next"]


def until(true: Callable[[], bool]) -> None:
    """Ask again until it is so."""
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_session_stopped_within_a_transaction_blocks_nobody_for_ever(postgres: Postgres, settings: Settings) -> None:
    from sqlalchemy import text

    there = replace(settings, ledger=postgres.url(postgres.database()))
    with Ledger(there)._engine.connect() as connection:
        asked = "select current_setting('lock_timeout'), current_setting('idle_in_transaction_session_timeout')"
        assert tuple(connection.execute(text(asked)).one()) == ("10s", "10s")


@pytest.mark.parametrize("driver", ["", "psycopg", "psycopg2"])
def test_postgresql_is_reached_by_whatever_driver_the_address_names(
    postgres: Postgres, settings: Settings, driver: str
) -> None:
    ledger = Ledger(replace(settings, ledger=postgres.url(postgres.database(), driver)))
    assert ledger.append(Entry("rooms", "alert", "me")).seq == 1


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "mysql://me@127.0.0.1/ledger"])
def test_other_databases_are_refused(settings: Settings, url: str) -> None:
    with pytest.raises(UsageError, match="postgresql://"):
        Ledger(replace(settings, ledger=url))


@pytest.mark.parametrize("url", ["postgresql://me:secret@127.0.0.1:9/x", "sqlite:////nowhere/at/all.db", "nonsense"])
def test_a_ledger_that_does_not_answer_says_so_without_its_password(settings: Settings, url: str) -> None:
    with pytest.raises(HeadgateError, match="Nothing is promoted without it") as caught:
        Ledger(replace(settings, ledger=url))
    assert "secret" not in str(caught.value)


def test_an_entry_is_the_same_hash_for_anyone_who_computes_it(settings: Settings) -> None:
    """The hash is SHA-256 of the entry as canonical JSON: an auditor needs no code of ours."""
    import hashlib

    entry = Ledger(settings).append(Entry("rooms", "alert", "me", "why", details={"b": 1, "a": None}))
    told = dict(vars(entry)) | {"hash": ""}
    canonical = json.dumps(told, sort_keys=True, separators=(",", ":"))
    assert entry.hash == hashlib.sha256(canonical.encode()).hexdigest()
