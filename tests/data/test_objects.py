"""What a recorded run needs of the store is told whole: everything else may go."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from headgate import settings
from headgate.data import datasets, objects
from headgate.domain import Request
from headgate.errors import HeadgateError
from headgate.settings import Settings


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return replace(settings.load(), home=tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def locks(here: Settings) -> list[dict]:
    """The locks of two runs that share a file."""
    work = datasets.prepare(here, "adclicks", Request("nowhere", datetime(2026, 1, 22, tzinfo=UTC)))
    folder, found = work / "snapshot", []
    (folder / "raw").mkdir(parents=True)
    (folder / "raw" / "day").write_text("a day that is over")
    for run in ("first", "second"):
        (folder / "snapshot.json").unlink(missing_ok=True)  # it may be a link into the store
        (folder / "snapshot.json").write_text(run)
        found.append(datasets.record(here, "adclicks", ["snapshot"]))
    return found


def test_without_the_objects_that_it_does_not_need_a_run_is_restored_whole(here, locks, tmp_path: Path) -> None:
    first, second = (objects.needed(here, lock) for lock in locks)
    there = dict(objects.stored(here))
    assert first | second == set(there)
    assert len(first) == len(second) == 3
    assert len(first & second) == 1
    assert objects.needed(here, objects.newest(here)) == second
    for name in second - first:
        there[name].unlink()
    (folder,) = datasets.checkout(here, locks[0], tmp_path / "first")
    assert (folder / "raw" / "day").read_text() == "a day that is over"
    assert (folder / "snapshot.json").read_text() == "first"


def test_a_list_that_is_gone_is_an_error_unless_a_remote_has_it(here, locks, tmp_path: Path) -> None:
    elsewhere = replace(here, home=tmp_path)
    with pytest.raises(HeadgateError, match="lacks"):
        objects.needed(elsewhere, locks[0])
    assert len(objects.needed(replace(elsewhere, data_remote="s3://bucket"), locks[0])) == 1


def test_a_run_without_data_needs_none_and_one_that_cannot_be_read_is_an_error() -> None:
    class Registry:
        def list_artifacts(self, run: str, path: str) -> list:
            if run == "away":
                raise OSError
            return []

    assert objects.recorded(Registry(), "run") == {}
    with pytest.raises(HeadgateError, match="cannot be read"):
        objects.recorded(Registry(), "away")
