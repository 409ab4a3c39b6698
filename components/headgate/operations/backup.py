"""One file with all that cannot be made again: registry, ledger, reviews, data, the log of decisions, outcomes.

Keys of units are never in it, bytes about persons only if that is asked for: restored, references lead to what still
lies in the store, and what was forgotten since is forgotten again.

A backup is a tar file that is written once from front to back: what lies below the state folder, the databases as
they stood at one moment at which nobody could change who decides, then `manifest.json` with the SHA-256 of each file,
and after the end of the archive the SHA-256 of everything before it. One that was cut off has no such end.
"""

import hashlib
import io
import json
import os
import tarfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any

from headgate.decisions.reviews.copying import copy_reviews, verify_reviews
from headgate.decisions.reviews.tables import exists as reviews_exist
from headgate.errors import HeadgateError, UsageError
from headgate.files import atomic_file
from headgate.privacy.index import index_file
from headgate.registry import databases
from headgate.registry.aliases import read_aliases
from headgate.registry.ledger import Ledger
from headgate.settings import Settings

#: The version of the layout, and where things lie in the archive.
FORMAT = 1
MANIFEST, STATE, REGISTRY_DUMP = "manifest.json", "state", "registry.dump"

#: Below the state folder: what is made again, what belongs to this machine, and the databases, copied on their own.
LEFT_OUT = (
    "bundles",
    "checkout",
    "datasets/work",
    "demo",
    "dvc/site",
    "keys",
    "ledger.db",
    "locks",
    "logs",
    "lookups.db",
    "mlflow/mlflow.db",
    "parts",
    "prefect",
    "reviews.db",
    "servers.json",
    "uploads",
)

#: Left out too, unless it is asked for; its index is copied on its own.
STORE = "store"

#: Bytes that are copied at a time.
CHUNK = 1 << 20


@dataclass(frozen=True)
class Kept:
    """A file of a backup."""

    sha256: str
    bytes: int


@dataclass(frozen=True)
class Manifest:
    """What a backup holds."""

    home: str  # the state folder that it is of
    made_at: str
    entries: int  # of the ledger
    head: str  # the anchor of the newest of them
    anchors: tuple[str, ...]  # those that the registry's versions hold
    elsewhere: Mapping[str, str]  # what is not in it, by what it is: where it lies
    files: Mapping[str, Kept]
    format: int = FORMAT


@dataclass(frozen=True)
class BackedUp:
    """A backup that was made."""

    file: str
    bytes: int
    sha256: str
    manifest: Manifest

    def brief(self) -> dict[str, Any]:
        """The same for a program, without the list of files."""
        held = self.manifest
        told = {"entries": held.entries, "head": held.head, "files": len(held.files), "elsewhere": dict(held.elsewhere)}
        return {"file": self.file, "bytes": self.bytes, "sha256": self.sha256, **told}

    def words(self) -> str:
        """What is in it, what is not, and what to do with it."""
        held = self.manifest
        lines = [
            f"{self.file}: {len(held.files):,} files, {self.bytes / 1e6:,.1f} MB, {held.entries:,} entries of the "
            f"ledger up to {held.head.partition(':')[2][:12] or 'none'}."
        ]
        lines += [
            f"Not in it, keep them safe where they lie: {what} in {where}." for what, where in held.elsewhere.items()
        ]
        return "\n".join([*lines, f"`headgate restore --from {self.file}` brings it back. Keep it on another machine."])


def make_backup(settings: Settings, out: Path, *, with_store: bool = False) -> BackedUp:
    """Write a backup of everything to the file `out`, or to a new file in the folder `out`.

    `with_store`, also the bytes about persons that lie in the state folder; those with a key stay encrypted in it.
    Raises HeadgateError where restoring it would fail: a ledger or reviews that are not what they were, a registry on a
    server that only its own tools can copy. Nothing is left at `out` then, nor by a process that was killed.
    """
    now = datetime.now(UTC)
    target = out.resolve()
    if target.is_dir():
        target /= f"headgate-{now:%Y%m%dT%H%M%SZ}.tar"
    if target.is_relative_to(settings.home):
        raise UsageError(f"{out} is inside the state folder: name a place elsewhere, best on another disk.")
    if not settings.home.is_dir():
        raise UsageError(f"There is no state in {settings.home} to back up: set HEADGATE_HOME to the state folder.")
    _refuse_server(settings)
    target.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(target) as draft, TemporaryDirectory(prefix=".tmp-headgate-", dir=target.parent) as scratch:
        anchors = _copy_databases(settings, Path(scratch))
        ledger = Ledger(replace(settings, ledger=f"sqlite:///{scratch}/{STATE}/ledger.db"))
        count, head = ledger.verify(anchors), ledger.head()
        verify_reviews(replace(settings, home=Path(scratch) / STATE, reviews=None))
        with draft.open("wb") as file:
            archive = _Archive(file)
            archive.add_all(_below(Path(scratch)))
            left_out = LEFT_OUT if with_store else (*LEFT_OUT, STORE)
            archive.add_all((f"{STATE}/{name}", path) for name, path in _state(settings.home, left_out))
            manifest = Manifest(
                home=str(settings.home),
                made_at=now.isoformat(timespec="seconds"),
                entries=count,
                head=head.anchor if head else "",
                anchors=anchors,
                elsewhere=_elsewhere(settings, with_store),
                files=archive.files,
            )
            total = archive.finish(manifest)
            file.flush()
            os.fsync(file.fileno())
    return BackedUp(str(target), target.stat().st_size, total, manifest)


def _refuse_server(settings: Settings) -> None:
    """Raise UsageError if the registry lies behind an MLflow server: its database and artifacts cannot be seen."""
    uri = settings.tracking_uri
    if uri and not databases.is_postgresql(uri) and uri != settings.local_tracking_uri:
        raise UsageError(
            f"The registry is behind the MLflow server at {uri}, and cannot be copied from here. Back up its database "
            "with `pg_dump` itself, and its artifacts; or set MLFLOW_TRACKING_URI for this command to the database's "
            "own postgresql:// address."
        )


def _copy_databases(settings: Settings, scratch: Path) -> tuple[str, ...]:
    """Copy registry and ledger while nobody can change who decides; the ledger's anchors in the registry."""
    from headgate.registry import changes, versions

    (scratch / STATE / "mlflow").mkdir(parents=True)
    there = versions.exist(settings)
    ledger = Ledger(settings)
    models = sorted(read_aliases(versions.client(settings))) if there else []
    with ExitStack() as stack:
        leases = [stack.enter_context(ledger.lease(f"registry/{name}")) for name in models]
        anchors: tuple[str, ...] = ()
        if there:
            anchors = tuple(changes.anchors(versions.client(settings), models))
        if settings.tracking_uri and databases.is_postgresql(settings.tracking_uri):
            databases.dump(settings.tracking_uri, scratch / REGISTRY_DUMP)
        elif settings.local_database.is_file():
            databases.copy_sqlite(settings.local_database, scratch / STATE / "mlflow" / "mlflow.db")
        databases.copy_ledger(settings.ledger_url, f"sqlite:///{scratch}/{STATE}/ledger.db")
        if index_file(settings).is_file():
            (scratch / STATE / STORE).mkdir()
            databases.copy_sqlite(index_file(settings), scratch / STATE / STORE / index_file(settings).name)
        if reviews_exist(settings):
            copy_reviews(settings, f"sqlite:///{scratch}/{STATE}/reviews.db")
        for lease in leases:  # one that took too long was overtaken: what was copied may not agree
            ledger.renew(lease)
    return anchors


def _elsewhere(settings: Settings, with_store: bool) -> dict[str, str]:
    """What lies outside of the state folder, or must not be copied, and is not."""
    said = {"the artifacts": settings.artifacts, "the datasets": settings.data_remote}
    if index_file(settings).is_file() and (settings.store or not with_store):
        said["bytes about persons"] = settings.store or str(settings.store_folder)
    if settings.keys_folder.is_dir():
        said["keys"] = str(settings.keys_folder)
    return {what: where for what, where in said.items() if where}


def _state(home: Path, left_out: Collection[str]) -> Iterator[tuple[str, Path]]:
    """The files below the state folder that are backed up, looked for again until a look finds no new ones.

    Segments of the decision log turn into Parquet meanwhile: whoever vanished is found under its new name.
    """
    known: set[str] = set()
    while True:
        found = {name: path for name, path in _below(home) if name not in known and not _is_left_out(name, left_out)}
        if not found:
            return
        known |= set(found)
        yield from sorted(found.items())


def _below(folder: Path) -> Iterator[tuple[str, Path]]:
    for parent, _, names in os.walk(folder, followlinks=True):
        for name in names:
            path = Path(parent) / name
            yield path.relative_to(folder).as_posix(), path


def _is_left_out(name: str, left_out: Collection[str]) -> bool:
    """Whether a file below the state folder is not backed up: also SQLite's journals, and drafts of whoever writes."""
    drafts = any(part.startswith((".tmp-", ".new-")) for part in name.split("/"))
    index = name.startswith(f"{STORE}/index.db")
    return drafts or index or any(name == one or name.startswith((f"{one}/", f"{one}-")) for one in left_out)


class _Archive:
    """A tar file under way: hashes each file as it is copied, and everything that is written."""

    def __init__(self, file: IO[bytes]) -> None:
        self.files: dict[str, Kept] = {}
        self._file, self._whole = file, hashlib.sha256()
        ours: Any = self  # all that tarfile asks of a file in this mode is `write`
        self._tar = tarfile.open(fileobj=ours, mode="w|", format=tarfile.PAX_FORMAT, bufsize=CHUNK)  # noqa: SIM115

    def write(self, data: bytes) -> int:
        """For tarfile: what it writes."""
        self._whole.update(data)
        return self._file.write(data)

    def add_all(self, found: Iterator[tuple[str, Path]]) -> None:
        """Add files under their names. Files that are gone by now are passed over, those that grow are cut."""
        for name, path in found:
            if not path.is_file():
                continue
            try:
                file = path.open("rb")
            except FileNotFoundError:
                continue
            with file:
                told = os.fstat(file.fileno())
                self.add(name, file, told.st_size, told.st_mtime)

    def add(self, name: str, file: IO[bytes], size: int, at: float) -> None:
        """Add the first `size` bytes of `file`."""
        info = tarfile.TarInfo(name)
        info.size, info.mtime, info.mode = size, at, 0o644
        hashed: Any = _Hashed(file)
        try:
            self._tar.addfile(info, hashed)
        except OSError as error:
            raise HeadgateError(f"{name} could not be backed up ({error}): nothing was written.") from error
        self.files[name] = Kept(hashed.sum.hexdigest(), size)

    def finish(self, manifest: Manifest) -> str:
        """Write the manifest and the end; the SHA-256 of the whole."""
        text = json.dumps(asdict(manifest), indent=1, sort_keys=True).encode()
        info = tarfile.TarInfo(MANIFEST)
        info.size = len(text)
        self._tar.addfile(info, io.BytesIO(text))
        self._tar.close()
        total = self._whole.hexdigest()
        self._file.write(total.encode())
        return total


class _Hashed:
    """A file that is hashed as it is read."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self.sum = file, hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        """Read on."""
        data = self._file.read(size)
        self.sum.update(data)
        return data
