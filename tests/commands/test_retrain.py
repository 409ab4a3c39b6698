"""`headgate retrain DOMAIN`: what is refused before anything starts, and what is told of a run that is stopped."""

import os
import signal
from pathlib import Path
from typing import NoReturn

import pytest

from headgate import settings
from headgate.data import datasets
from headgate.operations import retrain
from headgate.orchestration.outcome import Outcome
from headgate.settings import Settings

from .said import Headgate


@pytest.fixture
def without_prefect(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever asks for Prefect fails: what is refused at once must not wait for it."""

    def too_late(here: Settings) -> NoReturn:
        raise AssertionError("Prefect was asked for")

    monkeypatch.setattr(retrain, "prefect", too_late)


@pytest.mark.usefixtures("without_prefect")
def test_a_source_that_is_none_is_refused_before_anything_starts(headgate: Headgate, tmp_path: Path) -> None:
    said = headgate("retrain", "adclicks", "--source", tmp_path / "nowhere")
    assert (said.code, said.sentence) == (2, f"There is no folder {tmp_path / 'nowhere'}: check --source.")
    (tmp_path / "file").touch()
    said = headgate("retrain", "adclicks", "--source", tmp_path / "file")
    assert (said.code, f"{tmp_path / 'file'} is a file: give --source the folder" in said.sentence) == (2, True)


@pytest.mark.usefixtures("without_prefect")
@pytest.mark.parametrize("lock", ["lock", "start.lock"])
def test_a_second_run_is_refused_before_anything_starts(headgate: Headgate, tiny: Path, lock: str) -> None:
    with datasets.exclusively(settings.load(), "adclicks", suffix=lock):
        said = headgate("retrain", "adclicks", "--source", tiny)
    assert said.code == 1
    assert said.sentence.startswith(f"Another run holds adclicks (process {os.getpid()}). Nothing was changed")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_stopped_says_what_decides(
    headgate: Headgate, tiny: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    monkeypatch.setattr(retrain, "prefect", lambda here: signal.raise_signal(number))
    before = signal.getsignal(signal.SIGTERM)
    theirs = signal.signal(signal.SIGINT, signal.default_int_handler)  # a command before may have left its own
    said = headgate("retrain", "adclicks", "--source", tiny)
    signal.signal(signal.SIGINT, theirs)
    assert (said.code, said.sentence) == (130, "Stopped; the champion stays as it was.")
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_run_that_was_stopped_after_its_outcome_ended_with_it(
    headgate: Headgate, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = Outcome("adclicks", "2026-01-08", "promoted", (), 1, "r", "b", False, "adclicks version 1 is promoted.")

    def stop(here: Settings) -> None:
        ended.write(here)
        raise KeyboardInterrupt

    monkeypatch.setattr(retrain, "prefect", stop)
    said = headgate("retrain", "adclicks", "--source", tiny)
    assert (said.code, said.out.strip()) == (0, ended.words)


@pytest.mark.parametrize("address", ["http://127.0.0.1:9/api", "nonsense"])
def test_a_prefect_that_does_not_answer_is_told(
    headgate: Headgate, tiny: Path, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    from prefect.settings import PREFECT_API_URL, temporary_settings

    monkeypatch.setenv("PREFECT_API_URL", address)
    with temporary_settings({PREFECT_API_URL: address}):
        said = headgate("retrain", "adclicks", "--source", tiny)
    assert said.code == 1
    assert said.sentence.startswith(f"Prefect at {address} does not answer (")
    assert "or set PREFECT_API_URL to where it is, as http://127.0.0.1:4200/api." in said.sentence
