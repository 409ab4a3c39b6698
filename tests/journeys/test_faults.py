"""Requests go on being answered, rightly and on record, whatever happens around the process that answers."""

from pathlib import Path
from typing import Any

import pytest

from .faults import ALL, SAMPLE, measure, words


@pytest.mark.parametrize(
    ("faults", "workers"), [(SAMPLE, 1), pytest.param(ALL, 2, marks=pytest.mark.nightly)], ids=["sample", "all"]
)
def test_no_answer_is_wrong_or_missing_in_the_log_and_all_is_well_again_without_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, faults: Any, workers: int
) -> None:
    found = measure(tmp_path / "state", faults, workers, monkeypatch.setenv)
    print(words(found))
    for fault in found:
        assert (fault.wrong, fault.missing, fault.others) == (0, 0, 0), fault
        assert fault.broken == 0 or fault.name == "worker killed", fault
        assert fault.by_default > 0 or "redis" not in fault.name, "the fault was felt"
