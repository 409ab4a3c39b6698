"""What is put is found again until its unit is forgotten or its time is over, and then nowhere."""

import os
import secrets
import stat
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from headgate.contract.kinds import Kind
from headgate.errors import DataRefused, HeadgateError, UsageError
from headgate.privacy import store as module
from headgate.privacy.index import Place
from headgate.privacy.places import SMALL
from headgate.privacy.pseudonyms import unit_pseudonym
from headgate.privacy.references import BeingForgotten, Expired, Forgotten
from headgate.privacy.store import Store, salted
from headgate.privacy.sweep import sweep
from headgate.settings import Settings

from .. import killing
from .stores import KINDS, Turned, found, make_store

SMALL_BYTES, LARGE_BYTES = b"the bytes of a person " * 9, secrets.token_bytes(SMALL + 1)

sized = pytest.mark.parametrize("content", [SMALL_BYTES, LARGE_BYTES, b""], ids=["small", "large", "empty"])
kinds = pytest.mark.parametrize("kind", ["note", "picture"], ids=["plain", "keyed"])


@pytest.fixture
def clock() -> Turned:
    return Turned()


@pytest.fixture
def store(settings: Settings, clock: Turned) -> Store:
    return make_store(settings, clock)


@sized
@kinds
def test_what_is_put_is_found_by_its_reference_also_by_another_process(
    store: Store, settings: Settings, content: bytes, kind: str
) -> None:
    reference = store.put("ann", content, kind)
    for one in (store, make_store(settings)):
        assert one.get(reference) == content
        with one.open(reference) as file:
            file.seek(min(5, len(content)))
            assert file.read() == content[5:]
    held = store.about(reference)
    assert (held.kind, held.size) == (kind, len(content))


@sized
@kinds
def test_the_same_put_twice_is_the_same_reference_and_takes_no_room(store: Store, content: bytes, kind: str) -> None:
    first = store.put("ann", content, kind)
    size = sum(path.stat().st_size for path in store.settings.store_folder.rglob("*") if path.suffix != ".db-wal")
    assert store.put("ann", content, kind) == first
    assert sum(p.stat().st_size for p in store.settings.store_folder.rglob("*") if p.suffix != ".db-wal") == size
    assert store.put("bob", content, kind) != first


@sized
@kinds
def test_a_file_is_moved_into_the_store(store: Store, tmp_path: Path, content: bytes, kind: str) -> None:
    for _ in range(2):  # the second is there already
        (tmp_path / "upload").write_bytes(content)
        reference = store.put("ann", tmp_path / "upload", kind)
        assert not (tmp_path / "upload").exists()
        assert store.get(reference) == content


@sized
@kinds
def test_what_is_forgotten_is_in_no_file_and_its_reference_says_so(
    store: Store, settings: Settings, clock: Turned, content: bytes, kind: str
) -> None:
    gone, kept = store.put("ann", content, kind), store.put("bob", content, kind)
    clock.turn(hours=2)
    erased = store.forget("ann")
    assert erased.kinds == {kind: {"blobs": 1, "bytes": len(content)}}
    for read in (store.get, store.open, store.about):
        with pytest.raises(Forgotten, match="forgotten on 2026-01-05 14:00 UTC") as raised:
            read(gone)
        assert raised.value.at == clock.now
    assert store.tell(gone) == "forgotten on 2026-01-05 14:00 UTC"
    assert store.get(kept) == content
    store.forget("bob")
    assert found(settings.home, *([content] if content else []), b"ann", b"bob") == []


def test_a_key_is_destroyed_with_its_unit_and_another_puts_anew(store: Store, settings: Settings) -> None:
    old = store.put("ann", SMALL_BYTES, "picture")
    unit = unit_pseudonym(settings, "rooms", "ann")
    key = store.keys.find(unit)
    assert key is not None
    assert found(settings.home, key)
    shards = [path.read_bytes() for path in settings.store_folder.rglob("*.shard")]
    assert not any(SMALL_BYTES in shard for shard in shards)
    store.forget("ann")
    assert found(settings.home, key) == []
    new = store.put("ann", SMALL_BYTES, "picture")
    assert new != old, "whoever has the old reference learns nothing of the new bytes"
    assert store.get(new) == SMALL_BYTES
    with pytest.raises(Forgotten):
        store.get(old)


def test_forgetting_again_finds_nothing(store: Store) -> None:
    store.put("ann", SMALL_BYTES, "note")
    assert store.forget("ann").kinds
    assert store.forget("ann").kinds == {}
    assert store.forget("nobody").kinds == {}


def test_a_lifetime_is_over_at_once_and_begins_anew_with_each_put(store: Store, clock: Turned) -> None:
    one, other = store.put("ann", b"1", "scan"), store.put("ann", b"2", "scan")
    clock.turn(minutes=40)
    assert store.put("ann", b"1", "scan") == one
    clock.turn(minutes=20)
    assert store.get(one) == b"1"
    with pytest.raises(Expired, match="expired on 2026-01-05 13:00 UTC"):
        store.get(other)
    again = store.put("ann", b"2", "scan")
    assert store.get(again) == b"2"


def test_the_sweeper_takes_what_is_over_and_its_key_and_the_reference_still_says_when(
    store: Store, settings: Settings, clock: Turned
) -> None:
    over, kept = store.put("ann", LARGE_BYTES, "scan"), store.put("bob", SMALL_BYTES, "note")
    store.put("cid", b"1", "picture")
    clock.turn(hours=1)
    swept = sweep(store)
    assert (swept.expired, swept.bytes, swept.cut_off, swept.keys) == (1, len(LARGE_BYTES), 0, 1)
    assert found(settings.home, LARGE_BYTES) == []
    with pytest.raises(Expired):
        store.get(over)
    assert store.get(kept) == SMALL_BYTES
    assert store.keys.units() == {unit_pseudonym(settings, "rooms", "cid")}
    assert (sweep(store).expired, sweep(store).keys) == (0, 0)
    clock.turn(days=401)
    sweep(store)
    with pytest.raises(UsageError, match="has been gone for long"):
        store.get(over)


def test_a_shard_of_which_nothing_is_left_goes_unless_it_is_appended_to(settings: Settings, clock: Turned) -> None:
    writer, other = make_store(settings, clock), make_store(settings, clock)
    writer.put("ann", SMALL_BYTES, "note")
    other.forget("ann")
    sweep(other)
    assert list(settings.store_folder.rglob("*.shard")), "the first still appends to it"
    kept = writer.put("bob", SMALL_BYTES, "note")
    assert other.get(kept) == SMALL_BYTES
    writer.forget("bob")
    writer.places._open.clear()  # type: ignore[attr-defined]
    for shard in settings.store_folder.rglob("*.shard"):
        assert not shard.read_bytes().strip(b"\0")


def test_bytes_that_are_not_what_was_put_are_refused(store: Store, settings: Settings) -> None:
    small, large = store.put("ann", SMALL_BYTES, "note"), store.put("ann", LARGE_BYTES, "picture")
    for path in [*settings.store_folder.rglob("*.shard"), *settings.store_folder.glob("rooms/*/files/*/*")]:
        with path.open("r+b") as file:
            file.seek(20)
            file.write(b"X")
    for reference in (small, large):
        with pytest.raises(HeadgateError, match="are not what was put"):
            store.get(reference)
    with pytest.raises(HeadgateError, match="are not what was put"):
        store.open(small)


def test_bytes_that_are_away_are_said_to_be(store: Store, settings: Settings) -> None:
    reference = store.put("ann", LARGE_BYTES, "note")
    (path,) = settings.store_folder.glob("rooms/*/files/*/*")
    path.unlink()
    with pytest.raises(HeadgateError, match="restored without its store"):
        store.get(reference)
    assert store.forget("ann").kinds == {"note": {"blobs": 1, "bytes": len(LARGE_BYTES)}}


def test_all_of_it_is_for_this_user_alone(store: Store, settings: Settings, tmp_path: Path) -> None:
    store.put("ann", SMALL_BYTES, "picture")
    store.put("ann", LARGE_BYTES, "note")
    (tmp_path / "upload").write_bytes(LARGE_BYTES)
    (tmp_path / "upload").chmod(0o644)
    store.put("bob", tmp_path / "upload", "note")
    for folder in (settings.store_folder, settings.keys_folder):
        for path in [folder, *folder.rglob("*")]:
            assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def test_what_is_no_kind_media_type_or_reference_is_said_and_nothing_is_left(store: Store, settings: Settings) -> None:
    with pytest.raises(UsageError, match="its kinds are: note, picture, scan"):
        store.put("ann", b"1", "video")
    with pytest.raises(DataRefused, match="bring text/plain or application/json"):
        store.put("ann", b"1", "note", "text/html")
    for text in ("", "rooms.note.1.2", "../../etc/passwd", "x" * 500):
        with pytest.raises(UsageError, match="is no reference"):
            store.get(text)
    reference = store.put("ann", b"1", "note")
    with pytest.raises(UsageError, match=r"is of rooms, and this is the store of houses"):
        make_store(settings, domain="houses").get(reference)
    with pytest.raises(UsageError, match="not in this store"):
        store.get(f"{reference[:-4]}0000")
    with pytest.raises(ValueError, match="is no name of a kind"):
        Kind("../up", "up")


def test_a_reference_tells_neither_unit_nor_content(store: Store, settings: Settings, tmp_path: Path) -> None:
    mine = store.put("ann", b"yes", "note")
    theirs = Store(replace(settings, home=tmp_path / "other"), "rooms", KINDS).put("ann", b"yes", "note")
    assert mine.split(".")[2] != theirs.split(".")[2]
    assert mine.split(".")[3] != theirs.split(".")[3]
    assert store.put("ann", b"yes", "picture").split(".")[3] != mine.split(".")[3]


def test_an_erased_unit_is_told_by_hashes_that_its_owner_can_check(store: Store) -> None:
    import hashlib

    for content in (b"1", b"2"):
        store.put("ann", content, "picture")
    erased = store.forget("ann")
    mine = sorted(salted(erased.salt, hashlib.sha256(content).hexdigest()) for content in (b"1", b"2"))
    assert erased.hashes == {"picture": mine}


def test_where_a_disk_is_full_nothing_is_left(
    store: Store, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        patch.setattr(store.places, "erase", lambda places: None)
        with pytest.raises(OSError, match="No space left"):
            store.put("ann", SMALL_BYTES, "note")
    assert store.index.pending() == []
    assert store.get(store.put("ann", SMALL_BYTES, "note")) == SMALL_BYTES


def test_a_forgetting_begins_when_no_put_is_under_way_and_no_put_then(
    store: Store, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, asked = store.places.write, []

    def slow(place: Place, content: bytes | Path) -> None:
        asked.append(place)
        with pytest.raises(HeadgateError, match="is busy"):
            make_store(settings).forget("ann")
        make_store(settings).put("cid", b"beside it", "note")
        write(place, content)

    monkeypatch.setattr(module, "WAIT_SECONDS", 0.0)
    monkeypatch.setattr(store.places, "write", slow)
    store.put("ann", SMALL_BYTES, "note")
    assert len(asked) == 1
    begun = store.begin(unit_pseudonym(settings, "rooms", "ann"))
    with pytest.raises(BeingForgotten):
        store.put("ann", SMALL_BYTES, "note")
    assert store.put("cid", b"beside it", "note")
    store.erase(begun)
    monkeypatch.setattr(store.places, "write", write)
    assert store.get(store.put("ann", SMALL_BYTES, "note")) == SMALL_BYTES


@sized
@kinds
def test_of_two_that_bring_the_same_at_once_one_is_kept(
    store: Store, settings: Settings, monkeypatch: pytest.MonkeyPatch, content: bytes, kind: str
) -> None:
    write, other = store.places.write, make_store(settings)
    meanwhile: list[str] = []

    def slow(place: Place, written: bytes | Path) -> None:
        write(place, written)
        meanwhile.append(other.put("ann", content, kind))

    monkeypatch.setattr(store.places, "write", slow)
    reference = store.put("ann", content, kind)
    assert meanwhile == [reference]
    assert store.get(reference) == content
    assert [blob.state for blob in store.index.of_unit(unit_pseudonym(settings, "rooms", "ann"))] == ["whole"]
    assert len(found(settings.store_folder, content)) == (1 if kind == "note" else 0) or not content
    assert len(list(settings.store_folder.glob("rooms/*/files/*/*"))) == (len(content) > SMALL)


def _putting(pipe: Connection, settings: Settings, name: str, n: int) -> None:
    store = make_store(settings)
    try:
        pipe.send(
            [store.put(f"{name}-{i % 3}", f"{name} {i % (n // 2)}".encode() * 50, KINDS[i % 3].name) for i in range(n)]
        )
    except BaseException as error:
        pipe.send(repr(error))


def test_several_processes_lose_nothing(settings: Settings) -> None:
    """Each puts half of its own twice; all of them put for three units that they share."""
    started = [killing.process(_putting, settings, "same", 30) for _ in range(3)]
    started += [killing.process(_putting, settings, f"own{n}", 30) for n in range(2)]
    answers = [pipe.recv() for _, pipe in started]
    for process, _ in started:
        process.join(30)
    store = make_store(settings)
    assert answers[0] == answers[1] == answers[2], answers
    for name, answer in zip(["same"] * 3 + ["own0", "own1"], answers, strict=True):
        assert [store.get(one) for one in answer] == [f"{name} {i % 15}".encode() * 50 for i in range(30)]
    assert store.index.pending() == []
    assert sum(blobs for _, blobs, _, _ in store.index.sums().values()) == len(
        {one for answer in answers for one in answer}
    )
