"""Fold closed segments into Parquet: `log/DOMAIN/DAY/PART.parquet`, and `PART.gaps.json` where rows are missing.

Every step can be cut off and done again: what is known to be missing is written first, then the rows, each by one
rename, and only then does the segment go. Whoever folds holds the segment's lock, so two never fold the same one.
"""

import fcntl
import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread

from headgate import telemetry
from headgate.contract.live import DecisionLog
from headgate.decisions import segment_format
from headgate.decisions.layout import SUFFIX, check, gaps_file, log_folder, open_folder, part_file
from headgate.decisions.reading import gap_in, schema
from headgate.decisions.recorder import DRAFT, Segments
from headgate.decisions.redaction import redacted
from headgate.domain import get_domain
from headgate.files import atomic_file, write_json
from headgate.privacy.index import forgotten_units
from headgate.settings import Settings, load

log = logging.getLogger(__name__)

#: Seconds between two looks for closed segments, and that folding may take.
PERIOD, DEADLINE = 60.0, 600.0

#: Seconds after which a draft is taken for one of a process that died.
STALE = 3600.0


def compact(settings: Settings, decisions: DecisionLog) -> list[str]:
    """Fold every closed segment of a log, also those of processes that died; the parts that were folded.

    Raises DataRefused where the log is of another format.
    """
    check(log_folder(settings, decisions.name))
    folded = []
    folder = open_folder(settings, decisions.name)
    for path in sorted(folder.glob(f"[!.]*{SUFFIX}")):
        with _closed(path) as closed:
            if closed:
                _fold(settings, decisions, path)
                folded.append(path.stem)
    _sweep(folder.glob(f"{DRAFT}*"))
    _sweep(log_folder(settings, decisions.name).glob("????-??-??/.tmp-*"))
    return folded


def _sweep(drafts: Iterator[Path]) -> None:
    """Remove what killed processes left half-made."""
    for draft in drafts:
        with suppress(FileNotFoundError):
            if time.time() - draft.stat().st_mtime > STALE:
                draft.unlink()


def _fold(settings: Settings, decisions: DecisionLog, path: Path) -> None:
    part, name = path.stem, decisions.name
    content = segment_format.read(path)
    gap = gap_in(path, content)
    if content.torn:
        log.info("%s: %s ends in %d bytes of a row that was never acknowledged", name, part, content.torn)
    if gap is not None:
        lasted = {"since": gap.since.isoformat(), "until": gap.until.isoformat()}
        write_json(gaps_file(settings, name, part), lasted | {"rows": gap.rows, "damaged": gap.damaged})
        rows, torn = f"{gap.rows:,} rows that were answered are missing", f", and {gap.damaged:,} bytes cannot be read"
        span = f"{gap.since:%Y-%m-%d %H:%M:%S} to {gap.until:%H:%M:%S} UTC"
        log.error("%s: the log is incomplete from %s: %s%s", name, span, rows, torn if gap.damaged else "")
    if content.rows or gap is not None:
        target, table = part_file(settings, name, part), segment_format.table(content, schema(decisions))
        if decisions.unit is not None:
            table = redacted(decisions, table, forgotten_units(settings, name))
        with atomic_file(target) as draft:
            table.write_parquet(draft, compression="zstd", statistics=True)
    path.unlink()


@contextmanager
def _closed(path: Path) -> Iterator[bool]:
    """Whether nobody writes the segment any more; for the block nobody else folds it."""
    try:
        file = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        yield False
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield os.fstat(file).st_nlink > 0  # none: another has just folded it
    except BlockingIOError:
        yield False
    finally:
        os.close(file)


class Folder:
    """While a serving process lives, looks once a minute for closed segments, and has them folded.

    In a process of its own: making tables of rows holds the interpreter for tenths of a second, which requests would
    feel.
    """

    def __init__(self, recorder: Segments, settings: Settings, domains: Sequence[str]) -> None:
        """Fold the segments of `domains`; those of `recorder` are rolled over when their time is over."""
        self._recorder, self._settings, self._domains = recorder, settings, domains
        self._stopped = Event()
        self._thread = Thread(target=self._run, name="headgate-folder", daemon=True)

    def start(self) -> None:
        """Look whether the log can be written, and then for closed segments."""
        self._recorder.probe()
        self._thread.start()

    def stop(self) -> None:
        """Close the recorder's segments. What is not folded by now is read as it is, and folded by the next process."""
        self._stopped.set()
        self._recorder.roll(everything=True)
        self._thread.join(timeout=5)

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                self._look()
            except Exception:  # a fault of ours must not end the folding
                log.exception("a look for closed segments failed")
            self._stopped.wait(PERIOD)

    def _look(self) -> None:
        self._recorder.roll()
        if not any(_has_closed(self._settings, domain) for domain in self._domains):
            return
        command = [sys.executable, "-m", __name__, *self._domains]
        folding = subprocess.Popen(command, env=os.environ | {"HEADGATE_HOME": str(self._settings.home)})
        deadline = time.monotonic() + DEADLINE
        while folding.poll() is None and time.monotonic() < deadline and not self._stopped.wait(0.1):
            pass
        if folding.poll() is None:
            folding.kill()  # it can be cut off anywhere
            folding.wait()
        if folding.returncode and not self._stopped.is_set():
            log.error("segments cannot be folded (exit code %d); they are read as they are", folding.returncode)


def _has_closed(settings: Settings, domain: str) -> bool:
    for path in open_folder(settings, domain).glob(f"[!.]*{SUFFIX}"):
        with _closed(path) as closed:
            if closed:
                return True
    return False


def main(chosen: Sequence[str]) -> None:
    """Fold the segments of `chosen` domains, giving way to whoever serves."""
    settings = load()
    telemetry.configure(settings.log)
    os.nice(10)
    for domain in chosen:
        compact(settings, get_domain(domain).logs.log)


if __name__ == "__main__":
    main(sys.argv[1:])
