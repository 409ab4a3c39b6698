"""Reviews of the toy's rooms in both databases, and a clock that tests set."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from headgate.decisions.reviews import trail
from headgate.decisions.reviews.answers import Answer, rule
from headgate.decisions.reviews.claims import Claimed, Reader, claim
from headgate.decisions.reviews.state import Ruled
from headgate.domain import Domain
from headgate.settings import Settings

from ...postgres import postgres
from ...toy_reviews import CARETAKER, RULED, SENIOR

__all__ = ["postgres"]

ANN, BEN, CAT = (Reader(name, {CARETAKER}) for name in ("ann", "ben", "cat"))
SUE, SAM = (Reader(name, {SENIOR}) for name in ("sue", "sam"))


@dataclass
class Clock:
    """The database's clock in a test's hand."""

    at: float = 1_800_000_000.0

    def passes(self, seconds: float) -> None:
        self.at += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(trail, "now", lambda connection: made.at)
    return made


@pytest.fixture(params=["sqlite", "postgresql"])
def here(request: pytest.FixtureRequest, settings: Settings) -> Settings:
    """Settings with a database of reviews, once of each kind."""
    if request.param == "sqlite":
        return settings
    server = request.getfixturevalue("postgres")
    return replace(settings, reviews=server.url(server.database()))


def claimed(settings: Settings, reader: Reader, key: str | None = None, domain: Domain = RULED) -> Claimed:
    """A claim that is made."""
    found = claim(settings, domain, reader, key)
    assert found is not None
    return found


def rules(
    settings: Settings, reader: Reader, outcome: str, key: str | None = None, domain: Domain = RULED, **told: object
) -> Ruled:
    """Claim the case, and rule on it."""
    held = claimed(settings, reader, key, domain)
    answer = Answer(outcome, **({"client": f"{held.case.key}/{held.token}"} | told))  # type: ignore[arg-type]
    return rule(settings, domain, reader, held.case.key, held.token, answer)


def raised(kind: type[Exception], work: Callable[[], object]) -> str:
    """The words of what `work` raises."""
    with pytest.raises(kind) as found:
        work()
    return str(found.value)
