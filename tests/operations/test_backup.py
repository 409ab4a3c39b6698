"""Backup and restore: what comes back is what was there, at one moment; what is damaged does not come back at all."""

import shutil
import sqlite3
import tarfile
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from headgate.data import datasets
from headgate.errors import HeadgateError, UsageError
from headgate.files import atomic_file, write_json
from headgate.operations import restore
from headgate.operations.backup import BackedUp, make_backup
from headgate.operations.restore import Restored, backup_drill, restore_backup, unpack
from headgate.registry import changes, versions
from headgate.registry.bundles import bundle_id
from headgate.registry.ledger import Entry, Ledger
from headgate.settings import Settings

from .. import killing
from ..postgres import Postgres, postgres, programs
from ..registry.conftest import DOMAIN, Registry, registry
from ..rooms import make_bundle

__all__ = ["postgres", "registry"]


@dataclass
class Place:
    """A state folder with all kinds of things in it."""

    registry: Registry
    scratch: Path

    @property
    def settings(self) -> Settings:
        return self.registry.settings

    def version(self, usual: float = 20.0) -> int:
        """Register and promote a version with a real bundle among its artifacts."""
        client, here = self.registry.client, self.settings
        experiment = client.get_experiment_by_name(DOMAIN)
        root = (here.mlflow_home / "artifacts" / DOMAIN).as_uri()
        identity = experiment.experiment_id if experiment else client.create_experiment(DOMAIN, root)
        run = client.create_run(identity)
        bundle = make_bundle(self.scratch, f"bundle-{usual}", usual=usual)
        client.log_artifacts(run.info.run_id, str(bundle), "bundle")
        if not client.search_registered_models():
            client.create_registered_model(DOMAIN)
        tags = {versions.TAG_BUNDLE: bundle_id(bundle), versions.TAG_RULING: "passed"}
        source = f"{run.info.artifact_uri}/bundle"
        number = int(client.create_model_version(DOMAIN, source, run_id=run.info.run_id, tags=tags).version)
        self.registry.judge(number, "passed")
        self.registry.promote(number)
        return number

    def backup(self) -> BackedUp:
        return make_backup(self.settings, self.scratch / "backup.tar")

    def into(self, name: str = "restored") -> Settings:
        return replace(self.settings, home=self.scratch / name)


@pytest.fixture
def place(registry: Registry, tmp_path: Path) -> Place:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    made = Place(registry, scratch)
    made.version()
    home = made.settings.home
    write_json(home / "outcomes" / "rooms" / "2026-01-22.json", {"result": "promoted"})
    (home / "log" / DOMAIN / "open").mkdir(parents=True)
    (home / "log" / DOMAIN / "open" / "worker.seg").write_bytes(b"\0" * 700)
    (home / "corrections" / DOMAIN / "1").mkdir(parents=True)
    (home / "corrections" / DOMAIN / "1" / "part.parquet").write_bytes(b"PAR1" * 300)
    for made_again in ("bundles/x", "logs", "prefect", "locks", "uploads/7-ab/1", ".tmp-half"):
        (home / made_again).mkdir(parents=True, exist_ok=True)
        (home / made_again / "file").write_text("made again")
    (home / "servers.json").write_text("{}")
    return made


def _kept(here: Settings) -> dict[str, bytes]:
    """What must come back byte for byte."""
    folders = ("outcomes", "log", "corrections", "mlflow/artifacts", "dvc/cache")
    found = [path for folder in folders for path in (here.home / folder).rglob("*") if path.is_file()]
    return {str(path.relative_to(here.home)): path.read_bytes() for path in found}


def test_what_was_lost_comes_back_elsewhere_and_decides_as_before(place: Place) -> None:
    place.version(usual=21.0)
    here, there = place.settings, place.into()
    made = place.backup()
    kept, entries = _kept(here), Ledger(here).entries()
    champion = versions.champion(versions.client(here), DOMAIN)
    assert champion is not None
    bundle = {path.name: path.read_bytes() for path in versions.fetch(champion, here).iterdir() if path.is_file()}
    shutil.rmtree(here.home)
    done = restore_backup(Path(made.file), there)
    assert (done.home, done.entries, done.before) == (str(there.home), len(entries), None)
    assert _kept(there) == kept
    assert Ledger(there).entries() == entries
    found = Registry(there)
    found.settled(champion=2)
    again = found.version(2)
    assert (again.bundle, again.aliases, again.stage) == (champion.bundle, champion.aliases, champion.stage)
    fetched = versions.fetch(again, there)  # from the artifacts, below the new folder
    assert {path.name: path.read_bytes() for path in fetched.iterdir() if path.is_file()} == bundle
    assert not here.home.exists()
    assert {path.name for path in there.home.iterdir()}.isdisjoint(
        {"logs", "prefect", "servers.json", "uploads", ".tmp-half"}
    )
    found.roll_back()
    found.settled(champion=1)


def test_the_data_behind_a_version_can_be_checked_out_of_a_restored_folder(place: Place) -> None:
    here, there = place.settings, place.into()
    work = datasets.work_folder(here, DOMAIN) / "snapshot"
    work.mkdir(parents=True)
    (work / "clicks.csv").write_text("click_id\n1\n")
    write_json(here.datasets / "dvc.yaml", {"stages": {"snapshot": {"cmd": "true", "outs": ["work/rooms/snapshot"]}}})
    (here.datasets / ".dvc").mkdir()
    (here.datasets / ".dvc" / "config").write_text(datasets._config(here))
    datasets._dvc(here.datasets, "commit", "--force", "snapshot")
    import yaml

    lock = yaml.safe_load((here.datasets / "dvc.lock").read_text())
    made = place.backup()
    assert not [name for name in made.manifest.files if "datasets/work/" in name]
    shutil.rmtree(here.home)
    restore_backup(Path(made.file), there)
    (folder,) = datasets.checkout(there, lock, place.scratch / "data")
    assert (folder / "clicks.csv").read_text() == "click_id\n1\n"


def test_a_folder_that_is_not_empty_is_refused_and_by_force_moved_aside(place: Place) -> None:
    made = place.backup()
    before = _kept(place.settings)
    with pytest.raises(UsageError, match="is not empty"):
        restore_backup(Path(made.file), place.settings)
    (place.settings.home / "outcomes" / "newer.json").write_text("{}")
    done = restore_backup(Path(made.file), place.settings, force=True)
    assert _kept(place.settings) == before
    assert done.before is not None
    assert (Path(done.before) / "outcomes" / "newer.json").is_file()
    Registry(place.settings).settled(champion=1)


def test_a_folder_in_which_a_run_is_under_way_stays(place: Place) -> None:
    made = place.backup()
    with datasets.exclusively(place.settings, DOMAIN), pytest.raises(HeadgateError, match="Another run holds"):
        restore_backup(Path(made.file), place.settings, force=True)
    place.registry.settled(champion=1)


def _fields(archive: Path) -> dict[str, range]:
    """Where the content of each file lies in an archive."""
    with tarfile.open(archive) as tar:
        return {one.name: range(one.offset_data, one.offset_data + one.size) for one in tar if one.size}


def test_a_flipped_bit_is_named_and_nothing_is_restored(place: Place) -> None:
    made = place.backup()
    archive = Path(made.file)
    fields = _fields(archive)
    assert len(fields) == len(made.manifest.files) + 1
    for name, where in fields.items():
        restore._flip(archive, where[len(where) // 2])
        with pytest.raises(HeadgateError, match="is damaged") as refusal:
            restore_backup(archive, place.into())
        if name != "manifest.json":
            assert f"{name} is not what was backed up" in str(refusal.value)
        restore._flip(archive, where[len(where) // 2])
    size = archive.stat().st_size
    for at in (0, 100, fields["state/ledger.db"].start - 300, fields["state/ledger.db"].stop + 1, size - 70, size - 1):
        restore._flip(archive, at)  # between the files, in their headers, in the sum at the end
        with pytest.raises(HeadgateError, match="is damaged"):
            restore_backup(archive, place.into())
        restore._flip(archive, at)
    assert not place.into().home.exists()
    restore_backup(archive, place.into())


def test_a_part_of_a_backup_is_none(place: Place) -> None:
    whole = Path(place.backup().file).read_bytes()
    part = place.scratch / "part.tar"
    cuts = [0, 1, 511, 5_000, *range(20_000, len(whole), len(whole) // 15), len(whole) - 64, len(whole) - 1]
    for cut in cuts:
        part.write_bytes(whole[:cut])
        with pytest.raises(HeadgateError, match="is damaged"):
            restore_backup(part, place.into())
    part.write_bytes(whole + b"\0")
    with pytest.raises(HeadgateError, match="is damaged"):
        restore_backup(part, place.into())
    with pytest.raises(UsageError, match="There is no backup"):
        restore_backup(place.scratch / "none.tar", place.into())
    assert not place.into().home.exists()


def test_a_file_that_would_be_written_elsewhere_is_no_file_of_a_backup(place: Place) -> None:
    with pytest.raises(ValueError, match="no file of a backup"):
        _unpack_one("../outside", place.scratch)
    with pytest.raises(ValueError, match="no file of a backup"):
        _unpack_one("/tmp/outside", place.scratch)


def _unpack_one(name: str, scratch: Path) -> None:
    archive = scratch / "one.tar"
    with tarfile.open(archive, "w") as tar:
        tar.addfile(tarfile.TarInfo(name))
    with tarfile.open(archive, "r|") as tar:
        for member in tar:
            restore._unpack(tar, member, scratch / "into")


def test_a_ledger_that_is_not_what_it_was_is_neither_backed_up_nor_restored(place: Place, tmp_path: Path) -> None:
    made = Path(place.backup().file)
    with sqlite3.connect(place.settings.home / "ledger.db") as database:
        database.execute("update headgate_ledger set why = 'nothing happened' where seq = 2")
    with pytest.raises(HeadgateError, match="entry 2"):
        make_backup(place.settings, tmp_path / "second.tar")
    assert not (tmp_path / "second.tar").exists()
    manifest = unpack(made, tmp_path / "unpacked")
    cut = replace(place.settings, home=tmp_path / "unpacked" / "state", ledger=None)
    with sqlite3.connect(cut.home / "ledger.db") as database:
        database.execute("delete from headgate_ledger where seq = (select max(seq) from headgate_ledger)")
    with pytest.raises(HeadgateError, match="seen elsewhere and is not in"):
        restore._verify_ledger(cut, manifest)


def test_a_backup_goes_outside_of_what_it_is_of_and_into_a_folder_under_its_own_name(place: Place) -> None:
    with pytest.raises(UsageError, match="inside the state folder"):
        make_backup(place.settings, place.settings.home / "backup.tar")
    made = make_backup(place.settings, place.scratch)
    assert Path(made.file).parent == place.scratch
    assert restore_backup(Path(made.file), place.into()).files == len(made.manifest.files)
    with pytest.raises(UsageError, match="no state"):
        make_backup(place.into("nothing"), place.scratch / "other.tar")


def test_a_registry_on_a_server_is_refused_with_what_to_do(place: Place) -> None:
    served = replace(place.settings, tracking_uri="http://mlflow.example:5000")
    with pytest.raises(UsageError, match="pg_dump"):
        make_backup(served, place.scratch / "backup.tar")
    made = place.backup()
    with pytest.raises(UsageError, match="unset MLFLOW_TRACKING_URI"):
        restore_backup(Path(made.file), replace(place.into(), tracking_uri="http://mlflow.example:5000"))
    assert not place.into().home.exists()


def test_what_lies_elsewhere_is_said(place: Place) -> None:
    made = make_backup(replace(place.settings, data_remote="s3://bucket/data"), place.scratch / "backup.tar")
    assert "the datasets in s3://bucket/data" in made.words()


def test_files_that_come_meanwhile_are_in_it_and_those_that_go_are_not_missed(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The decision log is folded between the look for files and the copy."""
    from headgate.operations.backup import _Archive

    home, add = place.settings.home, _Archive.add_all
    segment, folded = home / "log" / DOMAIN / "open" / "worker.seg", home / "log" / DOMAIN / "2026-01-22" / "w.parquet"

    def folding(self: _Archive, found: object) -> None:
        def each():
            for name, path in found:  # type: ignore[attr-defined]
                if path == segment:
                    with atomic_file(folded) as draft:
                        draft.write_bytes(b"PAR1")
                    segment.unlink()
                yield name, path

        add(self, each())

    monkeypatch.setattr(_Archive, "add_all", folding)
    files = place.backup().manifest.files
    assert "state/log/rooms/2026-01-22/w.parquet" in files
    assert "state/log/rooms/open/worker.seg" not in files


def _let_leases_run_out(settings: Settings) -> None:
    with sqlite3.connect(settings.home / "ledger.db") as database:
        database.execute("update headgate_leases set until = 0")


def _back_up(settings: Settings, out: Path) -> None:
    make_backup(settings, out)


def _restore(archive: Path, settings: Settings) -> None:
    restore_backup(archive, settings)


EVERY = pytest.param(1, marks=pytest.mark.nightly)


@pytest.mark.parametrize("every", [4, EVERY])
def test_a_backup_that_is_killed_leaves_nothing_that_restore_accepts(place: Place, every: int) -> None:
    out = place.scratch / "killed.tar"
    writes = killing.run(0, _back_up, place.settings, out).writes
    out.unlink()
    for n in range(writes, 0, -every):
        assert killing.run(n, _back_up, place.settings, out).killed
        assert not out.exists()
        _let_leases_run_out(place.settings)
    place.registry.settled(champion=1)
    make_backup(place.settings, out)
    restore_backup(out, place.into())


@pytest.mark.parametrize("every", [4, EVERY])
def test_a_restore_that_is_killed_leaves_all_or_nothing(place: Place, every: int) -> None:
    made, there = Path(place.backup().file), place.into()
    writes = killing.run(0, _restore, made, there).writes
    shutil.rmtree(there.home)
    for n in range(writes, 0, -every):
        assert killing.run(n, _restore, made, there).killed
        assert not there.home.exists()
    restore_backup(made, there)
    Registry(there).settled(champion=1)


def _swap(pipe: Connection, settings: Settings) -> None:
    """Change the champion over and over until told to stop."""
    registry, ledger, number = versions.client(settings), Ledger(settings), 1
    pipe.send("ready")
    while not pipe.poll(0.1):  # a moment, in which others get their turn
        number = 3 - number
        with changes.change_session(registry, ledger, DOMAIN) as at:
            changes.make_champion(
                at, versions.find(registry, DOMAIN, str(number)), who="a person", why="to and fro", hold=False
            )
    pipe.send(len(ledger.entries(DOMAIN)))


def _consistent(place: Place, rounds: int) -> None:
    place.version(usual=21.0)
    process, pipe = killing.process(_swap, place.settings)
    pipe.recv()
    heads = set()
    for number in range(rounds):
        made = make_backup(place.settings, place.scratch / f"{number}.tar")
        there = place.into(f"restored-{number}")
        restore_backup(Path(made.file), there)
        found = Registry(there)
        champion = found.ledger_state().champion
        assert champion is not None
        assert found.ledger_state().intent is None  # no change was half in it
        found.settled(champion=champion)
        heads.add(made.manifest.head)
    pipe.send("stop")
    assert pipe.recv() > 2 * rounds
    process.join()
    assert len(heads) > 1  # it did change meanwhile


def test_a_backup_while_another_process_promotes_is_of_one_moment(place: Place) -> None:
    _consistent(place, rounds=2)


@pytest.mark.nightly
def test_many_backups_while_another_process_promotes_are_each_of_one_moment(place: Place) -> None:
    _consistent(place, rounds=25)


def test_a_backup_that_took_too_long_is_given_up(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its lease ran out while it copied, and someone else changed the champion."""
    from headgate.registry import databases
    from headgate.registry.ledger import Fenced

    whole, second = databases.copy_sqlite, Ledger(place.settings)

    def slow(source: Path, target: Path) -> None:
        whole(source, target)
        _let_leases_run_out(place.settings)
        with second.lease(f"registry/{DOMAIN}"):
            pass

    monkeypatch.setattr(databases, "copy_sqlite", slow)
    with pytest.raises(Fenced):
        place.backup()
    assert not (place.scratch / "backup.tar").exists()


def test_the_drill_passes_and_notices_what_is_not_verified(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    backup_drill(place.settings)
    place.registry.settled(champion=1)
    verified = restore.restore_backup

    def careless(archive: Path, settings: Settings, *, force: bool = False) -> Restored:
        return Restored(str(settings.home), "", 0, 0, None)

    monkeypatch.setattr(restore, "restore_backup", careless)
    with pytest.raises(HeadgateError, match="a bit had flipped was restored"):
        backup_drill(place.settings)
    monkeypatch.setattr(restore, "restore_backup", verified)
    monkeypatch.setattr("headgate.registry.databases.move", lambda *where: None)
    with pytest.raises(HeadgateError, match="could not be fetched"):
        backup_drill(place.settings)


def test_a_ledger_in_postgresql_is_in_it_and_goes_back_into_an_empty_one(place: Place, postgres: Postgres) -> None:
    from headgate.registry import databases

    here = replace(place.settings, ledger=postgres.url(postgres.database()))
    assert here.ledger is not None
    databases.copy_ledger(place.settings.ledger_url, here.ledger)
    (place.settings.home / "ledger.db").unlink()
    entries = Ledger(here).entries()
    made = Path(make_backup(here, place.scratch / "backup.tar").file)
    there = replace(place.into(), ledger=postgres.url(postgres.database()))
    restore_backup(made, there)
    assert Ledger(there).entries() == entries
    assert not (there.home / "ledger.db").exists()
    Registry(there).settled(champion=1)
    Ledger(there).append(Entry(DOMAIN, "alert", "a person"))
    with pytest.raises(UsageError, match="other entries"):
        restore_backup(made, replace(place.into("third"), ledger=there.ledger))
    assert not place.into("third").home.exists()


@pytest.mark.nightly
def test_a_registry_in_postgresql_is_dumped_and_loaded(
    place: Place, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = programs()
    assert found is not None
    monkeypatch.setenv("PATH", str(found), prepend=":")
    uri = postgres.url(postgres.database(), "psycopg2")
    moved = Place(Registry(replace(place.settings, home=place.scratch / "pg", tracking_uri=uri)), place.scratch / "x")
    moved.scratch.mkdir()
    moved.version()
    made = Path(make_backup(moved.settings, place.scratch / "backup.tar").file)
    there = replace(place.into(), tracking_uri=postgres.url(postgres.database(), "psycopg2"))
    with pytest.raises(UsageError, match="is of PostgreSQL"):
        restore_backup(made, place.into())
    restore_backup(made, there)
    Registry(there).settled(champion=1)
    shutil.rmtree(moved.settings.home)
    champion = versions.champion(versions.client(there), DOMAIN)
    assert champion is not None
    versions.fetch(champion, there)
    again = replace(there, home=place.scratch / "again")
    restore_backup(made, again)  # as after a kill: what is in the database already is the same
    number = Registry(again).register()
    Registry(again).promote(number)
    with pytest.raises(UsageError, match="other versions"):
        restore_backup(made, replace(there, home=place.scratch / "third"))
