"""Large parts of bundles: stored once for all versions, fetched once by a machine, refused where they are damaged."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from headgate.decisions.retention import collect
from headgate.errors import HeadgateError
from headgate.files import read_json, sha256, write_json
from headgate.operations.backup import make_backup
from headgate.operations.restore import restore_backup
from headgate.registry import parts, versions
from headgate.registry.bundles import CARD, LARGE, MANIFEST, bundle_id, large_parts, seal_bundle, verify
from headgate.registry.versions import Version
from headgate.settings import Settings

from .. import killing
from ..toy import ROOMS
from .conftest import DOMAIN, Registry

BACKBONE = "nets/backbone.bin"


def sealed(scratch: Path, name: str, large: bytes = b"b") -> Path:
    """A bundle with a part of `large` bytes, over and over, and files of its own."""
    folder = scratch / f"{name}-parts"
    (folder / "nets").mkdir(parents=True)
    (folder / BACKBONE).write_bytes((large * LARGE)[:LARGE])
    write_json(folder / CARD, {"domain": DOMAIN, "name": name})
    seal_bundle([folder], scratch / name)
    return scratch / name


@dataclass
class Store:
    """A registry, and bundles with a part that they share."""

    registry: Registry
    scratch: Path

    @property
    def settings(self) -> Settings:
        return self.registry.settings

    @property
    def folder(self) -> Path:
        """Where the parts lie among the artifacts."""
        return self.settings.mlflow_home / "artifacts" / "parts"

    def version(self, name: str, large: bytes = b"b") -> Version:
        """A version with a bundle of that name."""
        client, bundle = self.registry.client, sealed(self.scratch, name, large)
        there = client.get_experiment_by_name(DOMAIN)
        root = (self.settings.mlflow_home / "artifacts" / DOMAIN).as_uri()
        run = client.create_run(there.experiment_id if there else client.create_experiment(DOMAIN, root))
        parts.log_bundle(client, self.settings, run.info.run_id, bundle)
        if not client.search_registered_models():
            client.create_registered_model(DOMAIN)
        tags = {versions.TAG_BUNDLE: bundle_id(bundle)}
        made = client.create_model_version(DOMAIN, run.info.artifact_uri, run_id=run.info.run_id, tags=tags)
        return self.registry.version(int(made.version))

    def elsewhere(self) -> Settings:
        """A machine that has nothing yet, and asks the same registry."""
        there = replace(self.settings, home=self.scratch / "machine", tracking_uri=self.settings.local_tracking_uri)
        assert not there.home.exists()
        return there

    @property
    def part(self) -> str:
        return sha256(next(self.scratch.glob(f"*/{BACKBONE}")))


@pytest.fixture
def store(registry: Registry, tmp_path: Path) -> Store:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    return Store(registry, scratch)


def test_a_large_part_is_stored_once_and_is_no_artifact_of_a_run(store: Store) -> None:
    runs = [store.version(name).run_id for name in ("one", "other")]
    (kept,) = store.folder.iterdir()
    assert (kept.name, kept.stat().st_size) == (store.part, LARGE)
    for run in runs:
        logged = Path(store.registry.client.get_run(run).info.artifact_uri.removeprefix("file://")) / "bundle"
        assert {path.name for path in logged.rglob("*") if path.is_file()} == {CARD, MANIFEST}


def test_a_fetched_bundle_is_whole_and_its_large_part_is_fetched_once(store: Store) -> None:
    one, other = store.version("one"), store.version("other")
    there = store.elsewhere()
    first = versions.fetch(one, there)
    assert verify(first) == one.bundle
    shutil.rmtree(store.folder)
    second = versions.fetch(other, there)
    assert verify(second) == other.bundle
    assert (first / BACKBONE).samefile(second / BACKBONE)


def test_the_machine_that_made_a_part_need_not_fetch_it(store: Store) -> None:
    version = store.version("one")
    shutil.rmtree(store.folder)
    verify(versions.fetch(version, store.settings))


def _flip(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1] + b"\0")


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:9])


DAMAGE: dict[str, tuple[Callable[[Path], None], str]] = {
    "missing": (Path.unlink, "could not be fetched from .*Restore it from a backup, or retrain"),
    "truncated": (_cut, "is not what was sealed"),
    "tampered": (_flip, "is not what was sealed .*delete it there and restore it from a backup, or retrain"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_part_is_refused_in_words_and_leaves_no_bundle(store: Store, damage: str) -> None:
    version, there = store.version("one"), store.elsewhere()
    act, words = DAMAGE[damage]
    act(store.folder / store.part)
    with pytest.raises(HeadgateError, match=f"{BACKBONE}.*{words}"):
        versions.fetch(version, there)
    assert not list(there.bundles.glob("*"))
    assert not list(there.parts.glob("*"))


def test_what_is_damaged_on_a_machine_is_fetched_again(store: Store) -> None:
    version, there = store.version("one"), store.elsewhere()
    _flip(versions.fetch(version, there) / BACKBONE)  # and with it the machine's own copy, which is the same file
    assert verify(versions.fetch(version, there)) == version.bundle


def test_a_part_that_was_cut_off_on_its_way_to_the_store_is_brought_again(store: Store) -> None:
    store.version("one")
    _cut(store.folder / store.part)
    version = store.version("other")
    assert verify(versions.fetch(version, store.elsewhere())) == version.bundle


@pytest.mark.parametrize("name", ["/etc/passwd", "../../passwd"])
def test_a_manifest_that_names_a_file_outside_of_the_bundle_is_refused(name: str) -> None:
    with pytest.raises(HeadgateError, match=r"names a part .* that no bundle has"):
        large_parts({name: {"sha256": "0" * 64, "bytes": LARGE}})
    with pytest.raises(HeadgateError, match=r"names a part .* that no bundle has"):
        large_parts({"model.bin": {"sha256": name, "bytes": LARGE}})


def test_a_part_goes_when_the_last_version_that_names_it_is_gone(store: Store) -> None:
    one, other, alone = store.version("one"), store.version("other"), store.version("alone", large=b"a")
    shared, own = (sha256(store.scratch / name / BACKBONE) for name in ("one", "alone"))

    def gone() -> list[str]:
        return [item.name for item in collect(store.settings, [ROOMS], everything=True, keep_days=90).items]

    assert gone() == []
    store.registry.delete(alone.number)
    store.registry.delete(one.number)
    assert collect(store.settings, [ROOMS], everything=False, keep_days=90).items == ()
    assert gone() == [own]
    assert [path.name for path in store.folder.iterdir()] == [shared]
    assert [path.name for path in store.settings.parts.iterdir()] == [shared]
    verify(versions.fetch(other, store.elsewhere()))


def test_a_part_stays_while_a_bundle_on_this_machine_is_made_of_it(store: Store) -> None:
    version = store.version("one")
    versions.fetch(version, store.settings)
    store.registry.delete(version.number)
    assert collect(store.settings, [ROOMS], everything=True, keep_days=90).items == ()
    assert parts.stored(store.registry.client, store.settings) == {store.part: LARGE}


def test_parts_come_back_from_a_backup(store: Store) -> None:
    version, here = store.version("one"), store.settings
    made = make_backup(here, store.scratch / "backup.tar")
    assert [kept.bytes for kept in made.manifest.files.values()].count(LARGE) == 1
    shutil.rmtree(here.home)
    there = replace(here, home=store.scratch / "restored")
    restore_backup(Path(made.file), there)
    versions.client(there)
    assert verify(versions.fetch(version, there)) == version.bundle


def _log_and_fetch(settings: Settings, run_id: str, bundle: Path) -> None:
    parts.log_bundle(versions.client(settings), settings, run_id, bundle)
    shutil.rmtree(settings.parts)  # as on another machine
    versions.fetch_bundle(run_id, bundle_id(bundle), settings, "it")


def test_whoever_is_killed_at_any_step_the_next_one_finishes(store: Store) -> None:
    settings, client = store.settings, store.registry.client
    run = store.version("one").run_id
    steps = killing.run(0, _log_and_fetch, settings, run, sealed(store.scratch, "counted", b"c")).writes
    assert steps >= 4
    for step in range(1, steps + 1):
        bundle = sealed(store.scratch, f"killed-{step}", bytes([step]))
        assert killing.run(step, _log_and_fetch, settings, run, bundle).killed
        _log_and_fetch(settings, run, bundle)
        assert verify(settings.bundles / bundle_id(bundle)) == bundle_id(bundle)
        assert parts.stored(client, settings)[sha256(bundle / BACKBONE)] == LARGE
        assert not list(settings.parts.glob(".*"))


def test_the_manifest_names_a_large_part_by_hash_and_size(tmp_path: Path) -> None:
    bundle = sealed(tmp_path, "one")
    manifest = read_json(bundle / MANIFEST)
    assert manifest[BACKBONE] == {"sha256": sha256(bundle / BACKBONE), "bytes": LARGE}
    assert manifest[CARD] == sha256(bundle / CARD)
