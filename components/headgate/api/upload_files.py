"""Where uploads lie while they are worked on: files that nobody needs any more once their request has ended."""

import asyncio
import fcntl
import hashlib
import os
import secrets
import shutil
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager, suppress
from errno import EDQUOT, ENOSPC
from io import BufferedWriter
from itertools import count
from pathlib import Path
from threading import Lock
from typing import ParamSpec, TypeVar

from headgate.api.media import TELLING, sniff
from headgate.api.problems import Problem
from headgate.api.uploads import LONGEST

#: Uploads that a process takes at once; more are asked to come again.
MOST = 16

#: Threads that write them: what is written is in the system's memory, so that few suffice.
THREADS = 2

#: Bytes of the disk that uploads leave to others: the decision log and the databases lie there too.
RESERVE = 1 << 30

#: What is older, in seconds, was left behind.
AGE = 2 * LONGEST

#: How often is looked for what killed processes left, in seconds.
SWEEP = 600.0

#: Seconds after which one who found no place may ask again.
RETRY = "2"

P = ParamSpec("P")
T = TypeVar("T")


class Draft:
    """A file that is arriving. Its methods but `take` are called in a thread."""

    def __init__(self, path: Path) -> None:
        """Not yet written to."""
        self.path, self.size, self.head = path, 0, b""
        self._file: BufferedWriter | None = None
        self._sum = hashlib.sha256()

    @property
    def media(self) -> str:
        """What its first bytes say it is, once `TELLING` have come or all."""
        return sniff(self.head)

    @property
    def sha256(self) -> str:
        """The sum of what was written, in hex."""
        return self._sum.hexdigest()

    def take(self, data: memoryview) -> None:
        """Note bytes that will be written."""
        if len(self.head) < TELLING:
            self.head += bytes(data[: TELLING - len(self.head)])
        self.size += len(data)

    def write(self, data: memoryview) -> None:
        """Append bytes."""
        if self._file is None:
            self._file = self.path.open("xb")
        self._file.write(data)
        self._sum.update(data)

    def close(self) -> None:
        """Write no more; a file of no bytes is one too."""
        if self._file is None:
            self.path.touch(exist_ok=False)
        else:
            self._file.close()

    def abandon(self) -> None:
        """Write no more, whole or not."""
        if self._file is not None:
            self._file.close()


class Uploads:
    """The uploads of this process: a bounded number, each in a folder that goes with it.

    They lie in a folder of the process, which it holds a lock on: whoever gets that lock knows that it is dead, and
    removes what it left.
    """

    def __init__(self, root: Path, *, most: int = MOST, reserve: int = RESERVE) -> None:
        """Below `root`; nothing is made before the first upload."""
        self._root, self._most, self._reserve = root, most, reserve
        self._under_way, self._numbers = 0, count(1)
        self._threads = ThreadPoolExecutor(THREADS, "uploads")
        self._mine: Path | None = None
        self._making = Lock()

    @asynccontextmanager
    async def beside(self) -> AsyncIterator[None]:
        """For the life of the process: remove what others left, at once and now and then, and in the end its own."""
        sweeping = asyncio.get_running_loop().create_task(self._sweep())
        try:
            yield
        finally:
            sweeping.cancel()
            await self.aside(self._leave)

    async def _sweep(self) -> None:
        while True:
            await self.aside(sweep, self._root)
            await asyncio.sleep(SWEEP)

    @asynccontextmanager
    async def folder(self, expected: int) -> AsyncIterator[Path]:
        """An empty folder for one upload of `expected` bytes; `Problem` (503, 507) where there is no place for it."""
        if self._under_way >= self._most:
            said = f"{self._most} uploads are under way, as many as are taken at once: try again in a moment."
            raise Problem(503, "busy", said, headers={"Retry-After": RETRY})
        self._under_way += 1
        made: list[Path] = []  # known also where it was made for one who had gone meanwhile
        try:
            await self.aside(self._make, expected, made)
            yield made[0]
        finally:
            self._under_way -= 1
            for folder in made:
                await self.aside(_remove, folder)

    async def write(self, told: Sequence[tuple[Draft, memoryview | None]]) -> None:
        """Append to drafts in this order, None: it is whole. `Problem` (507) where the disk has no room for them."""
        await self.aside(self._write, told)

    async def aside(self, function: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        """What `function` returns, from a thread. Who is cancelled waits for its end: nothing is closed beneath it."""
        work = asyncio.get_running_loop().run_in_executor(self._threads, lambda: function(*arguments, **named))
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            await asyncio.wait([work])
            raise

    def _make(self, expected: int, into: list[Path]) -> None:
        with self._making:
            if self._mine is None or not self._mine.is_dir():
                self._mine = _own(self._root)
            self._hold_reserve(expected)
            made = self._mine / f"{next(self._numbers)}"
            made.mkdir(mode=0o700)
            into.append(made)

    def _write(self, told: Sequence[tuple[Draft, memoryview | None]]) -> None:
        self._hold_reserve(0)
        try:
            for draft, data in told:
                if data is None:
                    draft.close()
                else:
                    draft.write(data)
        except OSError as error:
            if error.errno in (ENOSPC, EDQUOT):
                raise _no_room() from None
            raise

    def _hold_reserve(self, expected: int) -> None:
        if shutil.disk_usage(self._root).free < self._reserve + expected:
            raise _no_room()

    def _leave(self) -> None:
        if self._mine is not None:
            shutil.rmtree(self._mine, ignore_errors=True)


def sweep(root: Path) -> None:
    """Remove what killed processes left below `root`, and what is older than any upload can be."""
    if not root.is_dir():
        return
    with _locked(root):
        for process in root.iterdir():
            with suppress(OSError), _free(process) as dead:
                old = () if dead else [one for one in process.iterdir() if one.stat().st_mtime < time.time() - AGE]
                for left in [process] if dead else old:
                    _remove(left)


def _own(root: Path) -> Path:
    """A folder of this process, which it holds a lock on for as long as it lives."""
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _locked(root):  # until it is held, a sweeper would take it for a dead one's
        made = root / f"{os.getpid()}-{secrets.token_hex(4)}"
        made.mkdir(mode=0o700)
        fcntl.flock(os.open(made, os.O_RDONLY), fcntl.LOCK_EX | fcntl.LOCK_NB)  # the system closes it
    return made


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    file = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)


@contextmanager
def _free(folder: Path) -> Iterator[bool]:
    """Whether no process holds the folder any more."""
    file = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield True
    except BlockingIOError:
        yield False
    finally:
        os.close(file)


def _remove(left: Path) -> None:
    if left.is_dir() and not left.is_symlink():
        shutil.rmtree(left, ignore_errors=True)
    else:
        left.unlink(missing_ok=True)


def _no_room() -> Problem:
    return Problem(507, "no-room", "The server's disk is too full for this: its operators must make room.")
