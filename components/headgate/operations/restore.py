"""Bring a backup back: verified to the last byte before anything is put in place, and then put there in one step."""

import hashlib
import json
import shutil
import tarfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any

from headgate.data import datasets
from headgate.decisions.reviews.copying import copy_reviews, verify_reviews
from headgate.domain import Domain
from headgate.domains import NAMES
from headgate.errors import HeadgateError, UsageError
from headgate.files import atomic_folder
from headgate.operations.backup import CHUNK, FORMAT, MANIFEST, REGISTRY_DUMP, STATE, Kept, Manifest, make_backup
from headgate.operations.forgotten_since import carry_over, forget_again
from headgate.registry import databases
from headgate.registry.aliases import read_aliases
from headgate.registry.changes import TAG_ANCHOR
from headgate.registry.ledger import Ledger
from headgate.servers import running
from headgate.settings import Settings

#: The SHA-256 at a backup's end, in hexadecimal digits.
END = 64


@dataclass(frozen=True)
class Restored:
    """A backup that was brought back."""

    home: str
    made_at: str
    files: int
    entries: int
    before: str | None  # where the state lies that stood there before
    forgotten: int = 0  # units that the backup still had and that were forgotten since

    def words(self) -> str:
        """What is there now, and what to do next."""
        said = (
            f"{self.home} is as it was at {self.made_at}: {self.files:,} files and {self.entries:,} entries of the "
            "ledger, each verified."
        )
        if self.forgotten:
            said += f" {self.forgotten:,} forgettings since then were done again."
        if self.before:
            said += f" What was there before is in {self.before}: delete it when you miss nothing."
        return f"{said}\n`headgate status` says what decides; `headgate serve` goes on from here."


def restore_backup(
    archive: Path,
    settings: Settings,
    domains: Sequence[Domain] = (),
    *,
    force: bool = False,
    receipts: Path | None = None,
) -> Restored:
    """Bring the backup `archive` back into the state folder of `settings`, and into the databases that they name.

    What `domains` have forgotten since it was made is forgotten again before anybody sees it: what the state that is
    moved aside tells of, and the folder `receipts`.
    A state folder that is not empty is refused, unless by `force`: it is moved aside then. Raises HeadgateError that
    names what is damaged; nothing was changed then.
    """
    home = settings.home
    occupied = home.is_dir() and any(home.iterdir())
    if occupied and not force:
        raise UsageError(
            f"{home} is not empty: restore into a new folder with --into, or give --force and it is moved aside."
        )
    if up := running(settings):
        raise UsageError(f"The servers of {home} are up ({', '.join(up)}): stop them first.")
    with ExitStack() as stack:
        if occupied:  # no run is under way, nor anything else that holds a lock, and none begins
            for name in sorted({*NAMES, *(lock.stem for lock in (home / "locks").glob("*.lock"))}):
                stack.enter_context(datasets.exclusively(settings, name))
        with atomic_folder(home) as draft:
            scratch = draft / ".restoring"
            manifest = unpack(archive, scratch)
            state = scratch / STATE
            count = _verify_ledger(replace(settings, home=state, ledger=None), manifest)
            verify_reviews(replace(settings, home=state, reviews=None))
            if (state / "mlflow" / "mlflow.db").is_file():
                databases.move(f"sqlite:///{state}/mlflow/mlflow.db", Path(manifest.home), home)
            _fill_databases(settings, manifest, scratch)
            for path in state.iterdir():
                path.rename(draft / path.name)
            shutil.rmtree(scratch)
            if occupied:
                carry_over(settings, draft)
            forgotten = forget_again(replace(settings, home=draft), settings, domains, receipts)
            before = None
            if occupied:
                before = home.with_name(f"{home.name}.before-{datetime.now(UTC):%Y%m%dT%H%M%SZ}")
                try:
                    home.rename(before)
                except OSError as error:  # a mount point stays where it is
                    raise UsageError(
                        f"{home} cannot be moved aside ({error.strerror}): restore into a folder below it with --into, "
                        "and let HEADGATE_HOME name that one."
                    ) from error
    aside = str(before) if before else None
    return Restored(str(home), manifest.made_at, len(manifest.files), count, aside, forgotten)


def unpack(archive: Path, into: Path) -> Manifest:
    """Unpack a backup into the new folder `into`, and verify every byte of it; its manifest.

    Raises UsageError if it is no backup, HeadgateError that names the first file which is not what was backed up.
    """
    if not archive.is_file():
        raise UsageError(f"There is no backup {archive}.")
    unpacked: dict[str, Kept] = {}
    with archive.open("rb") as file:
        whole: Any = _Whole(file, archive.stat().st_size - END)
        fault = ""
        try:
            with tarfile.open(fileobj=whole, mode="r|", bufsize=CHUNK) as tar:
                for member in tar:
                    unpacked[member.name] = _unpack(tar, member, into)
        except (tarfile.TarError, OSError, EOFError, ValueError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise  # the disk is full, say: no fault of the backup's
            fault = f"{type(error).__name__}: {error}"
        whole.drain()
        intact = not fault and file.read(END + 1).decode("ascii", "replace") == whole.sum.hexdigest()
    manifest = None if fault else _manifest(into / MANIFEST)
    unpacked.pop(MANIFEST, None)
    if manifest is not None:
        for name in sorted(manifest.files.keys() | unpacked.keys()):
            if manifest.files.get(name) != unpacked.get(name):
                raise _damaged(archive, f"{name} is not what was backed up")
    if not intact or manifest is None:
        last = next(reversed(unpacked), "its start")
        raise _damaged(archive, "between its files" if manifest else f"it ends, or is damaged, behind {last}")
    return manifest


def _unpack(tar: tarfile.TarFile, member: tarfile.TarInfo, into: Path) -> Kept:
    path = Path(member.name)
    if path.is_absolute() or ".." in path.parts or not member.isreg():
        raise ValueError(f"{member.name!r} is no file of a backup")
    target = into / path
    target.parent.mkdir(parents=True, exist_ok=True)
    content = tar.extractfile(member)
    assert content is not None
    summed, size = hashlib.sha256(), 0
    with target.open("wb") as out:
        while data := content.read(CHUNK):
            summed.update(data)
            size += len(data)
            out.write(data)
    if size != member.size:
        raise ValueError(f"{member.name} is cut off")
    return Kept(summed.hexdigest(), size)


def _manifest(path: Path) -> Manifest | None:
    """The manifest at `path`; None where there is none that can be read. UsageError for one of a newer Headgate."""
    try:
        value: dict[str, Any] = json.loads(path.read_bytes())
        if value["format"] != FORMAT:
            raise UsageError(f"The backup's format is {value['format']}; this Headgate reads {FORMAT}. Use its own.")
        files = {name: Kept(**kept) for name, kept in value["files"].items()}
        return Manifest(**(value | {"files": files, "anchors": tuple(value["anchors"])}))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _verify_ledger(unpacked: Settings, manifest: Manifest) -> int:
    """Hold the ledger against its hashes, the registry's anchors and the manifest; how many entries it has."""
    anchors = [*manifest.anchors, *([manifest.head] if manifest.head else [])]
    count = Ledger(unpacked).verify(anchors)
    if count != manifest.entries:
        raise HeadgateError(f"The backup's ledger has {count} entries and not {manifest.entries}: it is not restored.")
    return count


def _fill_databases(settings: Settings, manifest: Manifest, scratch: Path) -> None:
    """Bring registry, ledger and reviews into the databases that the settings name, where those lie elsewhere.

    None is overwritten. All can be done again: what was brought in before is left as it is.
    """
    copied, dumped, uri = scratch / STATE / "ledger.db", scratch / REGISTRY_DUMP, settings.tracking_uri
    if dumped.is_file():
        if not (uri and databases.is_postgresql(uri)):
            raise UsageError("The backup's registry is of PostgreSQL: set MLFLOW_TRACKING_URI to an empty database.")
        anchors = databases.tags(uri, TAG_ANCHOR)
        if anchors is None:
            databases.load(dumped, uri)
        elif anchors != set(manifest.anchors):
            raise UsageError("MLFLOW_TRACKING_URI names a registry with other versions: name an empty database.")
        databases.move(uri, Path(manifest.home), settings.home)
    elif uri and uri != settings.local_tracking_uri:
        raise UsageError("The backup's registry is of the state folder: unset MLFLOW_TRACKING_URI, which is elsewhere.")
    if settings.ledger:
        head = Ledger(settings).head()
        if head is None:
            databases.copy_ledger(f"sqlite:///{copied}", settings.ledger)
        elif head.anchor != manifest.head:
            raise UsageError("The ledger that HEADGATE_LEDGER names has other entries: name an empty database.")
        copied.unlink()
    ruled = scratch / STATE / "reviews.db"
    if settings.reviews and ruled.is_file():
        copy_reviews(replace(settings, home=ruled.parent, reviews=None), settings.reviews)
        ruled.unlink()


def backup_drill(settings: Settings) -> None:
    """Rehearse the loss of a state folder: back it up, lose it, restore it elsewhere, and ask who decides on what data.

    For a scratch copy: its folder is away meanwhile. Raises HeadgateError if recovery was not as promised.
    """
    from headgate.operations.batch import checkout
    from headgate.registry import versions

    registry = versions.client(settings)
    before = {name: versions.champion(registry, name) for name in read_aliases(registry)}
    if not any(before.values()):
        raise UsageError(f"No version decides in {settings.home}, so there is nothing to rehearse.")
    with TemporaryDirectory(prefix=".tmp-headgate-", dir=settings.home.parent) as scratch:
        made, lost = Path(make_backup(settings, Path(scratch) / "backup.tar").file), Path(scratch) / "lost"
        there = replace(settings, home=Path(scratch) / "restored")
        settings.home.rename(lost)
        try:
            _refuses_a_flipped_bit(made, there)
            restore_backup(made, there)
            for name, decided in before.items():
                decides = versions.champion(versions.client(there), name)
                if (decides and (decides.number, decides.bundle)) != (decided and (decided.number, decided.bundle)):
                    raise HeadgateError(f"The drill failed: of {name}, another version decides than before.")
                if decides is None:
                    continue
                versions.fetch(decides, there)  # verified against the hash that was judged
                if decides.tags.get(versions.TAG_DATA):
                    checkout(there, name, versions.CHAMPION, Path(scratch) / f"data-{name}")
        finally:
            lost.rename(settings.home)


def _refuses_a_flipped_bit(archive: Path, there: Settings) -> None:
    middle = archive.stat().st_size // 2
    _flip(archive, middle)
    try:
        restore_backup(archive, there)
    except HeadgateError:
        _flip(archive, middle)
    else:
        raise HeadgateError("The drill failed: a backup in which a bit had flipped was restored.")


def _flip(path: Path, at: int) -> None:
    """Turn one bit of the byte at `at` over."""
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 1]))


def _damaged(archive: Path, what: str) -> HeadgateError:
    return HeadgateError(f"The backup {archive} is damaged: {what}. Nothing was restored: take another backup.")


class _Whole:
    """The bytes of an archive up to its end, hashed as they are read."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        self._file, self._left, self.sum = file, max(size, 0), hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        """For tarfile: read on."""
        data = self._file.read(self._left if size < 0 else min(size, self._left))
        self._left -= len(data)
        self.sum.update(data)
        return data

    def drain(self) -> None:
        """Read what tarfile had no need to read."""
        while self.read(CHUNK):
            pass
