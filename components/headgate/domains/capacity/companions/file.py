"""Appending to the calendar and the masks: under a lock, and as a whole."""

import csv
import fcntl
import io
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from headgate.errors import HeadgateError, UsageError
from headgate.files import atomic_file

#: How long a change waits for another one.
LOCK_SECONDS = 30.0


def append(path: Path, data: bytes | None, rows: Sequence[Mapping[str, str]], header: Sequence[str]) -> None:
    """Write `data`, what the file holds (None if there is none), and below it `rows`, by the file's own header.

    `header` is that of a new file. The file is replaced as a whole: who looks sees all rows, or none.
    """
    if not rows:
        return
    text = io.StringIO(newline="")
    ends = "\r\n" if data and b"\r\n" in data else "\n"
    if data is None:
        csv.writer(text, lineterminator=ends).writerow(header)
    else:
        header = [name.strip() for name in next(csv.reader(io.StringIO(data.decode("utf-8-sig"), newline="")))]
        text.write("" if data.endswith((b"\n", b"\r")) else ends)
    csv.DictWriter(text, header, lineterminator=ends).writerows(rows)
    try:
        added = text.getvalue().encode()
    except UnicodeEncodeError as error:
        raise UsageError(f"The text {error.object[error.start : error.end]!a} is not UTF-8: write it anew.") from error
    try:
        with atomic_file(path) as draft:
            draft.write_bytes((data or b"") + added)
            if data is not None:
                shutil.copymode(path, draft)
    except OSError as error:
        raise HeadgateError(f"{path} could not be written ({error}): free some space or check the folder.") from error


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock on a file, which lies beside it so that all who share the folder share it; wait for others."""
    deadline = time.monotonic() + LOCK_SECONDS
    try:
        lock = path.with_name(f".{path.name}.lock").open("a")
    except OSError as error:
        raise HeadgateError(f"{path.parent} cannot be written to ({error}): check that folder.") from error
    with lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise HeadgateError(f"Someone else is changing {path}: nothing was changed, try again.") from None
                time.sleep(0.02)
        for draft in path.parent.glob(f".tmp-*-{path.name}"):  # of a killed change
            draft.unlink(missing_ok=True)
        yield
