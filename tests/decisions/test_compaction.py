"""Folding can be killed anywhere and done again."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from headgate.decisions.compaction import Folder, compact
from headgate.decisions.layout import log_folder, open_folder
from headgate.decisions.reading import gaps, parts
from headgate.decisions.recorder import Segments
from headgate.settings import Settings

from ..journeys.conftest import checkout
from .made import LOG
from .rows import rows
from .test_recorder import ids_in, small_files

__all__ = ["checkout"]

ROOT = Path(__file__).parents[2]

#: Folds, and kills itself at the n-th rename or removal of a file, before or after it.
KILLED = """
import os, signal, sys
from pathlib import Path
from headgate import settings
from headgate.decisions.compaction import compact
from tests.decisions.made import LOG

when, left = sys.argv[1], int(sys.argv[2])

def deadly(method):
    def call(path, *arguments, **named):
        global left
        if path.name.startswith(".tmp-") and method.__name__ == "unlink":
            return method(path, *arguments, **named)  # of a draft that was renamed already
        left -= 1
        if left == 0 and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        answer = method(path, *arguments, **named)
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return answer
    return call

Path.replace, Path.unlink = deadly(Path.replace), deadly(Path.unlink)
compact(settings.load(), LOG)
"""


@pytest.fixture
def _known(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that folds finds the toy by its name."""
    monkeypatch.setenv("PYTHONPATH", str(checkout / "components"))


@pytest.fixture
def closed(settings: Settings, tmp_path: Path) -> Settings:
    """A state folder with one closed segment that has rows and a gap."""
    recorder = Segments(settings)
    recorder.record("rooms", rows(["1", "2"]))
    with small_files(tmp_path) as (fill, _):
        fill()
        recorder.record("rooms", rows([f"lost-{n}" for n in range(100)]))
    recorder.record("rooms", rows(["3"]))
    recorder.roll(everything=True)
    return settings


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", [1, 2, 3])
def test_folding_killed_at_any_rename_loses_and_doubles_nothing(closed: Settings, when: str, step: int) -> None:
    killed = subprocess.run([sys.executable, "-c", KILLED, when, str(step)], check=False, cwd=ROOT)
    assert killed.returncode == -9, "it did get so far"
    for _ in range(2):
        assert ids_in(closed) == ["1", "2", "3"]
        assert [gap.rows for gap in gaps(closed, "rooms")] == [100]
        compact(closed, LOG)
    assert not list(open_folder(closed, "rooms").iterdir())
    assert len([path for path in log_folder(closed, "rooms").glob("????-*/*") if path.name[0] != "."]) == 2


def test_there_is_no_fourth_step_at_which_it_could_be_killed(closed: Settings) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, "before", "4"], check=False, cwd=ROOT)
    assert done.returncode == 0


@pytest.mark.usefixtures("_known")
def test_what_is_missing_is_said_in_the_format_of_the_process_s_own_log(closed: Settings) -> None:
    said = subprocess.run(
        [sys.executable, "-m", "headgate.decisions.compaction", "rooms"],
        env=os.environ | {"HEADGATE_LOG": "json"},
        capture_output=True,
        text=True,
        check=True,
    ).stderr
    (line,) = map(json.loads, said.splitlines())
    assert line["level"] == "ERROR"
    assert re.search(
        r"the log is incomplete from 2\d{3}-\d\d-\d\d \d\d:\d\d:\d\d to .* UTC: 100 rows .* are missing", str(line)
    )


def test_the_part_keeps_its_id_and_a_reader_that_is_overtaken_its_rows(settings: Settings) -> None:
    recorder = Segments(settings)
    for number in range(3):
        recorder.record("rooms", rows([str(number)]))
        recorder.roll(everything=True)
    reader = parts(settings, LOG)
    seen = [next(reader)]
    compact(settings, LOG)
    seen += list(reader)
    assert [part["decision_id"].item() for _, part in seen] == ["0", "1", "2"]
    assert [name for name, _ in seen] == [name for name, _ in parts(settings, LOG)]


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"


@pytest.mark.usefixtures("_known")
def test_while_it_serves_a_process_folds_what_others_left_and_closes_its_own_at_the_end(settings: Settings) -> None:
    left, mine = Segments(settings), Segments(settings)
    left.record("rooms", rows(["left"]))
    left.roll(everything=True)
    mine.record("rooms", rows(["mine"]))
    folder = Folder(mine, settings, ["rooms"])
    folder.start()
    until(lambda: len(list(open_folder(settings, "rooms").glob("*.seg"))) == 1)
    folder.stop()
    assert len(compact(settings, LOG)) == 1
    assert ids_in(settings) == ["left", "mine"]


def test_what_cannot_be_folded_is_said_and_read_all_the_same(settings: Settings, tmp_path: Path, caplog) -> None:
    recorder = Segments(settings)
    recorder.record("rooms", rows(["1"]))
    recorder.roll(everything=True)
    folder = Folder(recorder, settings, ["rooms"])
    with small_files(tmp_path, 100) as (fill, _):
        fill()
        folder.start()
        until(lambda: "cannot be folded" in caplog.text)
        folder.stop()
    assert ids_in(settings) == ["1"]
