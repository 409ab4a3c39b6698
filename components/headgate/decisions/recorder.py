"""Write the decision log: one append-only segment a worker, so that a row survives the death of its process.

A row is handed to the operating system before its answer leaves (one `write` a request, no `fsync`): it survives
`kill -9`, not a power cut. Where a write fails, answering goes on, and what was lost is counted to the row.
"""

import fcntl
import logging
import os
import secrets
import socket
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from tempfile import TemporaryFile
from threading import Lock

import msgspec
from prometheus_client import Counter, Gauge

from headgate.contract.row import Row
from headgate.decisions import segment_format
from headgate.decisions.layout import SUFFIX, check, claim, log_folder, open_folder, part_name
from headgate.errors import DataRefused
from headgate.settings import Settings
from headgate.telemetry import Children

log = logging.getLogger(__name__)

LOGGED = Counter("headgate_logged_rows", "Rows written to the decision log.", ["domain"])
LOST = Counter("headgate_log_lost_rows", "Rows that were answered and could not be logged.", ["domain"])
FAILING = Gauge(
    "headgate_log_failing", "1 while the decision log cannot be written.", ["domain"], multiprocess_mode="livemax"
)

#: A segment is closed at this size in bytes, at this age in seconds, and at midnight UTC.
MOST_BYTES, MOST_SECONDS = 16 << 20, 60.0

#: How the name begins of a segment that is not ready yet.
DRAFT = ".new-"


class Ids:
    """Unique ids at the price of a counter: day, worker, number."""

    def __init__(self) -> None:
        """A worker of its own, whatever other processes there are."""
        self.worker = secrets.token_hex(5)
        self._numbers = count(1)

    def __call__(self, n: int, at: datetime) -> list[str]:
        """Ids [n] of what is decided at an instant (UTC)."""
        prefix = f"{at.year:04}{at.month:02}{at.day:02}-{self.worker}-"  # a fifth of the price of strftime
        return [f"{prefix}{next(self._numbers):x}" for _ in range(n)]


class Segments:
    """The recorder of a serving process: a segment a domain, rolled over by size, age and midnight.

    Safe to call from several threads. The writer holds a lock (flock) on its segment: whoever gets that lock knows that
    the segment is closed, or its process dead.
    """

    def __init__(self, settings: Settings) -> None:
        """Nothing is written yet."""
        self._settings = settings
        self.ids = Ids()
        self._worker = f"{socket.gethostname()}-{os.getpid()}-{self.ids.worker}"
        self._open: dict[str, _Segment] = {}
        self._lost: dict[str, segment_format.Lost] = {}  # where no segment could be opened to note it in
        self._failing: dict[str, int] = {}  # by domain, the rows lost since the log began to fail
        self._logged = Children(LOGGED)
        self._encode = msgspec.msgpack.Encoder().encode
        self._lock = Lock()

    def announce(self, domains: Iterable[str]) -> None:
        """Show Prometheus that nothing is lost yet: it sees no growth in what appears with its first loss.

        Raises DataRefused where a log is there that another Headgate wrote otherwise.
        """
        for domain in domains:
            with suppress(OSError):  # a disk that does not answer keeps nobody from serving: `probe` says so
                check(log_folder(self._settings, domain))
            LOST.labels(domain)
            FAILING.labels(domain).set(0)

    def record(self, domain: str, rows: Sequence[Row]) -> None:
        """Write `rows`, all of one type. Never raises: what cannot be written is counted."""
        if not rows:
            return
        payload = segment_format.frame(self._encode(rows))
        with self._lock:
            try:
                self._segment(domain, rows[0]).write(payload)
            except OSError as error:
                self._lose(domain, rows, error)
                return
            self._logged[domain,].inc(len(rows))
            if domain in self._failing:
                log.warning("%s: decisions are logged again; %d are missing", domain, self._failing.pop(domain))
                FAILING.labels(domain).set(0)

    def probe(self) -> str | None:
        """Why the log cannot be written, None if it can: asked as serving starts, and said in the process's own log."""
        folder = self._settings.home / "log"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with TemporaryFile(dir=folder) as file:
                file.write(b"\0")
        except OSError as error:
            why = f"decisions cannot be logged in {folder} ({error.strerror or error}); answering goes on"
            log.error("%s", why)
            return why
        return None

    def roll(self, *, everything: bool = False) -> None:
        """Close the segments whose time is over, or `everything`, so that they can be folded."""
        now = time.time()
        with self._lock:
            for domain, segment in list(self._open.items()):
                if everything or segment.is_over(now):
                    self._close(domain, segment)

    def _segment(self, domain: str, row: Row) -> "_Segment":
        """The segment to write to now. One whose time is over serves on where no new one can be opened."""
        current, now = self._open.get(domain), time.time()
        if current is not None and not current.is_over(now):
            return current
        try:
            _claim(log_folder(self._settings, domain))
            fresh = _Segment(open_folder(self._settings, domain), self._worker, row.__struct_fields__, now)
        except OSError:
            if current is None:
                raise
            current.spare(now)
            return current
        if current is not None:
            self._close(domain, current)
        if domain in self._lost:
            fresh.note(self._lost.pop(domain))
        self._open[domain] = fresh
        return fresh

    def _close(self, domain: str, segment: "_Segment") -> None:
        """Let go of a segment; a loss that could not be noted in it is noted in the next."""
        del self._open[domain]
        if not segment.close():
            self._lost[domain] = segment.lost

    def _lose(self, domain: str, rows: Sequence[Row], error: OSError) -> None:
        LOST.labels(domain).inc(len(rows))
        segment = self._open.get(domain)
        lost = segment.lost if segment else self._lost.get(domain, segment_format.Lost())
        lost = lost.and_(len(rows), rows[0].decided_at, rows[-1].decided_at)
        if segment:
            segment.note(lost)
        else:
            self._lost[domain] = lost
        if domain not in self._failing:
            FAILING.labels(domain).set(1)
            log.error("%s: decisions cannot be logged (%s); answering goes on", domain, error.strerror or error)
        self._failing[domain] = self._failing.get(domain, 0) + len(rows)


def _claim(folder: Path) -> None:
    """As `claim`; what is wrong is a reason like any other why nothing can be logged."""
    try:
        claim(folder)
    except DataRefused as error:
        raise OSError(str(error)) from error


class _Segment:
    """An open segment. It appears under its name only when it is locked and can be read."""

    def __init__(self, folder: Path, worker: str, columns: Sequence[str], now: float) -> None:
        """Begin it at `now` (epoch seconds); raises OSError where that cannot be."""
        began = datetime.fromtimestamp(now, UTC)
        midnight = datetime.combine(began.date() + timedelta(days=1), datetime.min.time(), UTC)
        self._over_at = min(now + MOST_SECONDS, midnight.timestamp())
        self.lost, self._noted = segment_format.Lost(), True
        folder.mkdir(parents=True, exist_ok=True)
        name = f"{part_name(worker, began)}{SUFFIX}"
        draft = folder / f"{DRAFT}{name}"
        self._file = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
        self._size = 0
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.write(segment_format.start(columns))
            draft.rename(folder / name)
        except OSError:
            draft.unlink(missing_ok=True)
            os.close(self._file)
            raise

    def is_over(self, now: float) -> bool:
        """Whether the next row belongs into another segment."""
        return now >= self._over_at or self._size >= MOST_BYTES

    def spare(self, now: float) -> None:
        """Serve a second longer: no other segment can be opened."""
        self._over_at = now + 1.0

    def write(self, payload: bytes) -> None:
        """Append `payload` whole, or raise OSError and leave the segment as it was."""
        done = 0
        try:
            while done < len(payload):  # a full disk takes a part, and then refuses the rest
                done += os.pwrite(self._file, payload[done:] if done else payload, self._size + done)
        except OSError:
            if done:
                with suppress(OSError):  # what stays is overwritten by the next
                    os.ftruncate(self._file, self._size)
            raise
        self._size += done
        if not self._noted:
            self.note(self.lost)

    def note(self, lost: segment_format.Lost) -> None:
        """Note what was lost, in room that was taken when the segment began."""
        self.lost = lost
        try:
            os.pwrite(self._file, segment_format.slot(lost), segment_format.SLOT_AT)
            self._noted = True
        except OSError:
            self._noted = False

    def close(self) -> bool:
        """Let the segment be folded; whether every loss is noted in it."""
        if not self._noted:
            self.note(self.lost)
        with suppress(OSError):
            os.close(self._file)
        return self._noted
