"""Whoever is forgotten is in no file any more, and what was decided about them can still be told."""

import base64
import json
import shutil
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from headgate.decisions.compaction import compact
from headgate.decisions.reading import parts
from headgate.decisions.replay import Asked, run
from headgate.decisions.retention import collect
from headgate.decisions.trace import trace_decision
from headgate.errors import DataRefused, HeadgateError, UsageError
from headgate.files import write_json
from headgate.operations.backup import make_backup
from headgate.operations.forget import finish_owed, forget_unit, look
from headgate.operations.restore import restore_backup
from headgate.operations.status import read_status
from headgate.operations.verify_receipt import verify_receipt
from headgate.privacy.holdings import read_holdings
from headgate.privacy.pseudonyms import unit_pseudonym
from headgate.privacy.store import Store, salted
from headgate.registry.bundles import CARD
from headgate.registry.ledger import Ledger
from headgate.registry.versions import Version
from headgate.settings import Settings

from .. import killing
from ..killing import SOME_OR_ALL
from ..privacy.stores import found
from ..serving.real import real_app
from ..serving.real import settings as settings_in
from ..toy import Rooms
from ..toy_store import GUESTS, LEFT

ANN, BOB = "Ann Other of Elsewhere", "Bob Another"
PICTURE, NOTE = b"\x89PNG of Ann and her cat, in all its bytes" * 20, "The radiator of room a sings at night."
MINE = ANN.encode(), PICTURE, NOTE.encode(), base64.b64encode(PICTURE)


@dataclass
class Visits:
    """What two guests left, and was decided."""

    settings: Settings
    ann: list[dict[str, str]]
    bob: list[dict[str, str]]


@pytest.fixture
def here(tmp_path: Path) -> Settings:
    return settings_in(tmp_path / "state")


@pytest.fixture
def serve(here: Settings, tmp_path: Path) -> Callable[[], Any]:
    write_json(tmp_path / "bundle" / CARD, {"domain": "rooms", "means": {"a": 20.0}, "width": 2.0})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Starlette would like another client than the one that is installed
        from starlette.testclient import TestClient

    @contextmanager
    def started() -> Iterator[Any]:
        with real_app(here, GUESTS, Rooms(tmp_path / "bundle")) as app, TestClient(app) as client:
            yield client

    return started


def leave(client: Any, guest: str, *, picture: bytes = PICTURE, note: str = NOTE, degrees: float = 24.0) -> Any:
    told = {"room": "a", "degrees": degrees, "guest": guest, "note": note}
    answer = client.post("/v1/rooms/visits", json=told | {"picture": base64.b64encode(picture).decode()})
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.fixture
def visits(here: Settings, serve: Callable[[], Any]) -> Visits:
    """Two days' visits: some are folded, the last lie in a segment that is closed and not folded yet."""
    with serve() as client:
        ann, bob = [leave(client, ANN)], [leave(client, BOB, picture=b"Bob's", note="Bob was here.")]
    compact(here, LEFT)
    with serve() as client:
        ann += [leave(client, ANN, picture=PICTURE + b"2"), leave(client, ANN)]
        bob.append(leave(client, BOB, note="Bob again."))
    return Visits(here, ann, bob)


def rows(settings: Settings) -> pl.DataFrame:
    return pl.concat(one for _, one in parts(settings, LEFT)).sort("decided_at")


def is_whole(visits: Visits, settings: Settings | None = None) -> None:
    """Nothing of Ann is anywhere, and all of Bob is where it was."""
    here = settings or visits.settings
    assert found(here.home, *MINE) == []
    store = Store(here, "rooms", GUESTS.kinds)
    assert [store.get(one["note"]) for one in visits.bob] == [b"Bob was here.", b"Bob again."]
    assert [store.get(one["picture"]) for one in visits.bob] == [b"Bob's", PICTURE], "the same as one of Ann's"
    logged = rows(here)
    assert set(logged["decision_id"]) == {one["decision_id"] for one in visits.ann + visits.bob}
    assert logged["guest"].drop_nulls().to_list() == [BOB, BOB]
    assert logged["outcome"].to_list() == ["hot"] * 5
    assert (here.home / "book" / unit_pseudonym(here, "rooms", BOB)).is_file()
    assert not (here.home / "book" / unit_pseudonym(here, "rooms", ANN)).exists()


def test_a_guest_is_forgotten_in_every_file_and_decisions_about_them_are_still_told(visits: Visits) -> None:
    here = visits.settings
    assert found(here.home, *MINE), "else the search proves nothing"
    assert look(here, GUESTS, ANN).startswith("2 picture (")
    done = forget_unit(here, GUESTS, ANN, who="a clerk", why="Asked for by letter 17.")
    assert done.result == "forgotten"
    assert {kind: told["blobs"] for kind, told in done.kinds.items()} == {"picture": 2, "note": 1}
    assert done.places == {"log rows": 3, "lines of the book": 1}
    assert "3 log rows" in done.words()
    is_whole(visits)
    said = trace_decision(here, [GUESTS], visits.ann[0]["decision_id"]).words()
    assert f"{visits.ann[0]['picture']}: forgotten on {done.at[:10]}" in said
    assert "too hot" in said
    assert f"forgotten       on {done.at[:10]}" in said
    other = trace_decision(here, [GUESTS], visits.bob[0]["decision_id"]).words()
    assert "image/png, 5 bytes, held until" in other
    assert "forgotten" not in other.replace("until its unit is forgotten", "")
    until = datetime.now(UTC)
    version = Version("rooms", 1, "b" * 64, "run", "", (), "None", {}, 0, 0)
    asked = Asked(GUESTS, until - timedelta(days=1), until, dry_run=True)
    again = run(here, version, Rooms(here.home.parent / "bundle"), asked)
    assert (again.decisions, again.undecided) == (5, 0)


def test_a_backup_taken_after_it_holds_nothing_and_one_taken_before_gives_nothing_back(
    visits: Visits, tmp_path: Path
) -> None:
    here = visits.settings
    Ledger(here)
    before = make_backup(here, tmp_path / "before.tar", with_store=True)
    plain = make_backup(here, tmp_path / "plain.tar")
    assert not [name for name in plain.manifest.files if name.startswith("state/store/rooms")]
    assert not [name for name in before.manifest.files if "keys" in name]
    assert "bytes about persons" in plain.words()
    forget_unit(here, GUESTS, ANN)
    (tmp_path / "after").mkdir()
    make_backup(here, tmp_path / "after" / "after.tar", with_store=True)
    assert found(tmp_path / "after", *MINE) == []
    done = restore_backup(Path(before.file), here, [GUESTS], force=True)
    assert done.forgotten == 1
    is_whole(visits)
    assert "1 forgettings since then" in done.words()
    shutil.rmtree(str(done.before))
    assert restore_backup(Path(plain.file), here, [GUESTS], force=True).forgotten == 1
    is_whole(visits)


def test_a_receipt_lets_a_new_machine_forget_what_an_old_backup_still_has(visits: Visits, tmp_path: Path) -> None:
    here = visits.settings
    Ledger(here)
    made = make_backup(here, tmp_path / "before.tar", with_store=True)
    done = forget_unit(here, GUESTS, ANN)
    there = replace(here, home=tmp_path / "new")
    kept = tmp_path / "receipts"
    kept.mkdir()
    (kept / "1.json").write_bytes(Path(done.receipt).read_bytes())
    with pytest.raises(HeadgateError, match="no such domain here"):
        restore_backup(Path(made.file), there, [], receipts=kept)
    assert not there.home.exists()
    assert restore_backup(Path(made.file), there, [GUESTS], receipts=kept).forgotten == 1
    assert found(there.home, *MINE) == []
    store = Store(there, "rooms", GUESTS.kinds)
    assert store.get(visits.bob[0]["note"]) == b"Bob was here."
    with pytest.raises(HeadgateError, match="without it nobody can read"):
        store.get(visits.bob[0]["picture"])


def test_it_is_done_once_and_said_again(visits: Visits) -> None:
    here = visits.settings
    first = forget_unit(here, GUESTS, ANN)
    entries = Ledger(here).entries("rooms")
    again = forget_unit(here, GUESTS, ANN)
    assert (again.result, again.at, again.kinds, again.receipt) == ("already", first.at, first.kinds, first.receipt)
    assert Ledger(here).entries("rooms") == entries
    assert forget_unit(here, GUESTS, "Nobody").result == "nothing"
    assert [entry.what for entry in entries] == ["forgotten"]


def test_who_comes_back_is_somebody_anew(visits: Visits, serve: Callable[[], Any]) -> None:
    here = visits.settings
    forget_unit(here, GUESTS, ANN)
    with serve() as client:
        back = leave(client, ANN)
    store = Store(here, "rooms", GUESTS.kinds)
    assert store.get(back["picture"]) == PICTURE
    compact(here, LEFT)
    assert rows(here)["guest"].drop_nulls().to_list() == [BOB, BOB, ANN]
    assert forget_unit(here, GUESTS, ANN).result == "forgotten"
    assert found(here.home, *MINE) == []


def test_the_receipt_is_signed_entered_and_shows_every_change(visits: Visits, tmp_path: Path) -> None:
    import hashlib

    here = visits.settings
    done = forget_unit(here, GUESTS, ANN, why="Asked for by letter 17.")
    verified = verify_receipt(here, Path(done.receipt))
    assert (verified.ours, verified.entered) == (True, True)
    assert verified.words().startswith("Sound: rooms forgot unit")
    (entry,) = Ledger(here).entries("rooms")
    assert entry.why == "Asked for by letter 17."
    assert Ledger(here).verify() == 1
    told = json.loads(Path(done.receipt).read_bytes())
    assert salted(told["salt"], hashlib.sha256(PICTURE).hexdigest()) in told["hashes"]["picture"]
    assert told["ledger"] == {"seq": 1, "hash": entry.hash}
    elsewhere = verify_receipt(replace(here, home=tmp_path / "elsewhere"), Path(done.receipt))
    assert (elsewhere.ours, elsewhere.entered) == (False, False)
    for name, value in (
        ("unit", "0" * 24),
        ("at", "2020-01-01T00:00:00+00:00"),
        ("kinds", {}),
        ("public_key", "00" * 32),
    ):
        (tmp_path / "forged.json").write_text(json.dumps(told | {name: value}))
        with pytest.raises(DataRefused, match="not what was signed"):
            verify_receipt(here, tmp_path / "forged.json")
    (tmp_path / "forged.json").write_text("{}")
    with pytest.raises(DataRefused, match="is no receipt"):
        verify_receipt(here, tmp_path / "forged.json")


def test_a_reason_that_names_the_unit_is_refused(visits: Visits) -> None:
    with pytest.raises(UsageError, match="names the unit"):
        forget_unit(visits.settings, GUESTS, ANN, why=f"{ANN.upper()} wants it.")


def test_rows_that_are_still_written_are_waited_for_and_owed_meanwhile(
    here: Settings, serve: Callable[[], Any]
) -> None:
    with serve() as client:
        left = leave(client, ANN)
        with pytest.raises(HeadgateError, match="still writes"):
            forget_unit(here, GUESTS, ANN, wait=0)
        assert read_holdings(here, GUESTS).owed == 1
        assert "1 units are still to be forgotten" in read_status(here, [GUESTS]).words()
        assert Ledger(here).entries("rooms") == []
        assert Store(here, "rooms", GUESTS.kinds).tell(left["picture"]).startswith("forgotten on")
    (done,) = finish_owed(here, GUESTS)
    assert done.places["log rows"] == 1
    assert found(here.home, *MINE) == []
    assert finish_owed(here, GUESTS) == []
    assert read_holdings(here, GUESTS).owed == 0


def _forget(settings: Settings) -> None:
    forget_unit(settings, GUESTS, ANN)


def _go_on(settings: Settings) -> None:
    finish_owed(settings, GUESTS)


@SOME_OR_ALL
@pytest.mark.parametrize("then", [_forget, _go_on], ids=["run again", "by whoever finishes"])
def test_killed_at_any_write_the_next_run_forgets_wholly_and_others_are_untouched(
    visits: Visits, tmp_path: Path, every: bool, then: Callable[[Settings], None]
) -> None:
    def copy(name: str) -> Settings:
        shutil.copytree(visits.settings.home, tmp_path / name)
        return replace(visits.settings, home=tmp_path / name)

    kinds = (*killing.KINDS, "erase")
    writes = killing.run(0, _forget, copy("whole"), kinds=kinds).writes
    is_whole(visits, replace(visits.settings, home=tmp_path / "whole"))
    whole = Ledger(replace(visits.settings, home=tmp_path / "whole")).entries("rooms")
    for n in killing.points(writes, every):
        one = copy(str(n))
        assert killing.run(n, _forget, one, kinds=kinds).killed
        then(one)
        if then is _go_on and n == 1:  # killed before it was noted that there is anything to do
            _forget(one)
        is_whole(visits, one)
        (entry,) = Ledger(one).entries("rooms")
        told = [(one.details["blobs"], one.details["places"]["log rows"]) for one in (entry, whole[0])]
        assert told[0] == told[1] == (3, 3), f"killed at write {n}"
        shutil.rmtree(one.home)


def test_what_is_over_goes_by_gc(here: Settings) -> None:
    brief = replace(GUESTS, kinds=tuple(replace(kind, lifetime=timedelta(0)) for kind in GUESTS.kinds))
    Store(here, "rooms", brief.kinds).put(ANN, PICTURE, "picture")
    kept = Store(here, "rooms", GUESTS.kinds).put(ANN, NOTE.encode(), "note")
    assert read_holdings(here, brief).overdue == 1
    assert "1 are over and still on the disk" in read_status(here, [brief]).words()
    dry = collect(here, [brief], everything=False, keep_days=90, dry_run=True)
    assert "rooms picture: the time of 1 is over" in dry.words()
    assert collect(here, [brief], everything=False, keep_days=90).items == dry.items
    assert read_holdings(here, brief).overdue == 0
    assert Store(here, "rooms", GUESTS.kinds).get(kept) == NOTE.encode()


def test_raw_files_of_the_log_and_what_was_cut_off_go_too(visits: Visits) -> None:
    log = visits.settings.home / "log" / "rooms"
    for folder in (log / "raw" / "days", log / ".tmp-gone-1234"):
        folder.mkdir(parents=True)
        (folder / "1.parquet").write_bytes(ANN.encode())
    assert forget_unit(visits.settings, GUESTS, ANN).places["raw files of the log"] == 1
    is_whole(visits)
