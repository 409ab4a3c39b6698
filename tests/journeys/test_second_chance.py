"""A refused model's champion with new thresholds: how it is told, and what holds the outcome together."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType

import pytest

from headgate import settings
from headgate.data import datasets
from headgate.domain import Domain, Request, get_domain
from headgate.errors import HeadgateError
from headgate.orchestration.outcome import Outcome, Result
from headgate.registry import registrar, versions
from headgate.settings import Settings

AS_OF = datetime(2026, 1, 22, tzinfo=UTC)
CHAMPION = versions.Version("adclicks", 1, "b", "r", "", ("champion",), "Production", {}, 0, 0)


@pytest.fixture
def here(tmp_path: Path) -> Settings:
    return replace(settings.load(), home=tmp_path, tracking_uri=None)


@pytest.fixture
def flows(here: Settings, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The flow's module, with a champion in a registry that is not asked."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2]))
    import flows.retrain as module

    monkeypatch.setattr(registrar, "decides", lambda here, name, as_of: registrar.Decides(CHAMPION, None))
    monkeypatch.setattr(versions, "fetch", lambda version, here: Path("champion"))
    monkeypatch.setattr(settings, "load", lambda: here)
    return module


def _ended(result: Result, number: int) -> Outcome:
    words = f"adclicks version {number} is {result}."
    return Outcome("adclicks", AS_OF.isoformat(), result, (), number, "r", "b", number > 2, words)


@pytest.mark.parametrize(("second", "version"), [("promoted", 3), ("review", 3), ("refused", 2)])
def test_the_second_chance_is_announced_and_told_with_its_version(
    flows: ModuleType,
    here: Settings,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    second: Result,
    version: int,
) -> None:
    asked = []

    def candidate(here: Settings, domain: Domain, request: Request, decides: registrar.Decides) -> Outcome:
        said = capsys.readouterr().err
        assert said == ("Refused; trying the champion's model with new thresholds …\n" if request.base else "")
        asked.append(request.base)
        return _ended(second, 3) if request.base else _ended("refused", 2)

    monkeypatch.setattr(flows, "candidate", candidate)
    outcome = flows.run(here, get_domain("adclicks"), Request("x", AS_OF), False)
    assert asked == [None, "champion"]
    assert (outcome.result, outcome.version) == (second, version)
    assert outcome.words == f"adclicks version 2 is refused. Its second chance: adclicks version 3 is {second}."


def test_an_outcome_is_written_before_another_run_may_begin(
    flows: ModuleType, here: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = []

    def write(outcome: Outcome, here: Settings) -> None:
        with pytest.raises(HeadgateError, match="Another run holds adclicks"), datasets.exclusively(here, "adclicks"):
            pytest.fail("another run has begun")
        written.append(outcome.version)

    monkeypatch.setattr(Outcome, "write", write)
    monkeypatch.setattr(flows, "run", lambda *_: _ended("promoted", 1))
    flows.retrain.fn("adclicks", "x", AS_OF)
    assert written == [1]
