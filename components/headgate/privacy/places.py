"""Where the store's bytes lie: in a folder, small ones in shards and large ones in files of their own; or in S3.

::

    store/DOMAIN/KIND/shards/2026-12-01T03-WORKER.shard   appended to by one process; the index knows what lies where
    store/DOMAIN/KIND/files/3f/UNIT-NAME-TOKEN

A shard is the bytes and nothing else. Of what must go, its stretch is overwritten with zeros where it lies, which can
be cut off and done again; a shard of which nothing is left goes whole.
"""

import errno
import fcntl
import io
import os
import secrets
import shutil
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from threading import Lock
from typing import BinaryIO, Protocol

from headgate.errors import HeadgateError
from headgate.privacy.index import Place
from headgate.settings import Settings

#: Bytes up to which content goes into a shard, and after which a shard is closed.
SMALL, MOST_BYTES = 256 << 10, 64 << 20

#: Bytes that are written or overwritten at a time.
CHUNK = 1 << 20


class Places(Protocol):
    """Where bytes of one domain lie. A place is used once: what is put again gets another."""

    def reserve(self, kind: str, unit: str, name: str, length: int, now: datetime) -> Place:
        """A place for `length` bytes, which nobody else is given."""

    def write(self, place: Place, content: bytes | Path) -> None:
        """Write `content` there; a file is moved where it can be, and left to the caller where it was copied."""

    def read(self, place: Place) -> bytes:
        """What lies there; FileNotFoundError where it is gone."""

    def open(self, place: Place) -> BinaryIO:
        """The same as a file that can be sought in."""

    def erase(self, places: Iterable[Place]) -> None:
        """Let what lies there be gone, for good when this returns; what is gone already is left."""

    def erase_unit(self, unit: str) -> None:
        """Let all that bears the name of `unit` be gone, whoever knows of it."""

    def tidy(self, used: Collection[str], now: datetime) -> None:
        """Remove files that no row of the index names. Nobody puts anything meanwhile."""


def places(settings: Settings, domain: str) -> Places:
    """Where the bytes of `domain` lie."""
    if settings.store is None:
        return Folder(settings.store_folder / domain)
    from headgate.privacy.s3 import Bucket

    return Bucket(settings.store, domain)


@dataclass
class _Shard:
    """A shard that this process appends to: it holds a lock (flock) on it for as long."""

    file: str
    fd: int
    stamp: str
    size: int = 0


@dataclass
class Folder:
    """Bytes below `root`, for this user alone."""

    root: Path
    _open: dict[str, _Shard] = field(default_factory=dict)  # by kind
    _lock: Lock = field(default_factory=Lock)
    _pid: int = 0

    def reserve(self, kind: str, unit: str, name: str, length: int, now: datetime) -> Place:
        """A stretch of this process's shard, or a file."""
        if length > SMALL:
            return Place(f"{kind}/files/{unit[:2]}/{unit}-{name}-{secrets.token_hex(4)}", None, length)
        with self._lock:
            shard = self._shard(kind, now)
            place = Place(shard.file, shard.size, length)
            shard.size += length
            return place

    def write(self, place: Place, content: bytes | Path) -> None:
        """Write it there. It survives the death of this process, not a power cut."""
        if place.at is None:
            self._write_file(self._below(place.file), content)
            return
        data = content if isinstance(content, bytes) else content.read_bytes()
        with self._writable(place.file) as fd:
            _write_at(fd, data, place.at)

    def read(self, place: Place) -> bytes:
        """What lies there."""
        with self._path(place.file).open("rb") as file:
            if place.at is None:
                return file.read()
            return os.pread(file.fileno(), place.length, place.at)

    def open(self, place: Place) -> BinaryIO:
        """A file itself; of a shard, a copy of the stretch."""
        if place.at is None:
            return self._path(place.file).open("rb")
        return io.BytesIO(self.read(place))

    def erase(self, places: Iterable[Place]) -> None:
        """Remove files, overwrite stretches."""
        stretches: dict[str, list[Place]] = {}
        for place in places:
            if place.at is None:
                self._remove(self._path(place.file))
            else:
                stretches.setdefault(place.file, []).append(place)
        for file, found in stretches.items():
            with suppress(FileNotFoundError), self._path(file).open("r+b") as shard:
                there = os.fstat(shard.fileno()).st_size
                for place in found:
                    _zero(shard.fileno(), place, there)
                os.fsync(shard.fileno())

    def erase_unit(self, unit: str) -> None:
        """Remove the unit's files."""
        for path in self.root.glob(f"*/files/{unit[:2]}/{unit}-*"):
            self._remove(path)

    def tidy(self, used: Collection[str], now: datetime) -> None:
        """Remove shards and files of which nothing is left, unless a process still appends to them."""
        for path in [*self.root.glob("*/shards/*.shard"), *self.root.glob("*/files/??/*")]:
            if path.relative_to(self.root).as_posix() not in used and not _is_appended_to(path):
                self._remove(path)

    def _shard(self, kind: str, now: datetime) -> _Shard:
        """The shard to append to now: one an hour, and another where it has grown large."""
        if self._pid != os.getpid():  # after a fork the parent goes on with those
            self._open, self._pid = {}, os.getpid()
        stamp, current = f"{now:%Y-%m-%dT%H}", self._open.get(kind)
        if current is not None and current.stamp == stamp and current.size < MOST_BYTES:
            with suppress(OSError):
                if os.fstat(current.fd).st_nlink:
                    return current
        if current is not None:
            os.close(self._open.pop(kind).fd)
        file = f"{kind}/shards/{stamp}-{secrets.token_hex(5)}.shard"
        fd = os.open(self._below(file), os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
        fcntl.flock(fd, fcntl.LOCK_SH)
        self._open[kind] = _Shard(file, fd, stamp)
        return self._open[kind]

    @contextmanager
    def _writable(self, file: str) -> Iterator[int]:
        fd = os.open(self._path(file), os.O_WRONLY)
        try:
            yield fd
        finally:
            os.close(fd)

    def _write_file(self, target: Path, content: bytes | Path) -> None:
        if isinstance(content, bytes):
            with _create(target) as file:
                file.write(content)
            return
        try:
            content.rename(target)
            target.chmod(0o600)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            with content.open("rb") as source, _create(target) as file:
                shutil.copyfileobj(source, file, CHUNK)

    def _path(self, file: str) -> Path:
        path = self.root / file
        if ".." in path.parts:
            raise HeadgateError(f"The index names {file}, which is no place of the store: restore it from a backup.")
        return path

    def _below(self, file: str) -> Path:
        """A path whose folders are there, for this user alone."""
        path = self._path(file)
        if not path.parent.is_dir():
            for folder in reversed(
                [f for f in (path.parent, *path.parent.parents) if f.is_relative_to(self.root.parent)]
            ):
                folder.mkdir(mode=0o700, exist_ok=True, parents=True)
        return path

    def _remove(self, path: Path) -> None:
        path.unlink(missing_ok=True)
        with suppress(FileNotFoundError):  # a power cut must not bring it back
            folder = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)


def _create(path: Path) -> BinaryIO:
    """A new file, for this user alone."""
    return os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb")


def _write_at(fd: int, data: bytes, at: int) -> None:
    done = 0
    while done < len(data):
        done += os.pwrite(fd, data[done:] if done else data, at + done)


def _zero(fd: int, place: Place, there: int) -> None:
    """Overwrite the stretch, as far as there is any of it."""
    at = place.at or 0
    left = min(place.length, there - at)
    while left > 0:
        written = os.pwrite(fd, bytes(min(left, CHUNK)), at)
        at, left = at + written, left - written


def _is_appended_to(path: Path) -> bool:
    """Whether a process still has the shard open to append to."""
    if path.suffix != ".shard":
        return False
    with suppress(FileNotFoundError), path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
