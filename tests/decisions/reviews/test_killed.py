"""Killed at any of its writes and run again, no ruling is lost, and none is there twice."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from headgate.decisions.reviews import trail
from headgate.decisions.reviews.verify import verify
from headgate.decisions.rulings import held
from headgate.settings import Settings

from ... import killing
from ...killing import SOME_OR_ALL, Outcome
from ...postgres import Postgres, postgres
from . import acts

__all__ = ["postgres"]

KEYS = ["by-hand-1", "by-hand-2", "late", "once", "twice"]


@pytest.fixture(params=["sqlite", "postgresql"])
def fresh(request: pytest.FixtureRequest, settings: Settings, tmp_path: Path) -> Callable[[], Settings]:
    """Settings with an empty database, again and again."""

    def numbers() -> Iterator[Settings]:
        number = 0
        server: Postgres | None = request.getfixturevalue("postgres") if request.param == "postgresql" else None
        while True:
            number += 1
            here = replace(settings, home=tmp_path / f"state-{number}")
            yield replace(here, reviews=server.url(server.database())) if server else here

    made = numbers()
    return lambda: next(made)


def told(settings: Settings) -> list[tuple[str, str, str, object]]:
    return [
        (event.what, event.key, event.who, event.details.get("client")) for event in trail.events(settings, "rooms")
    ]


@SOME_OR_ALL
def test_what_was_begun_is_finished_by_asking_again(fresh: Callable[[], Settings], every: bool) -> None:
    whole = fresh()
    writes = killing.run(0, acts.work, whole).writes
    assert [what for what, *_ in told(whole)].count("ruled") == 9
    wanted = told(whole), held(whole, "rooms", KEYS)
    for n in killing.points(writes, every):
        here = fresh()
        assert killing.run(n, acts.work, here) == Outcome(True, n - 1)
        killing.run(0, acts.work, here)
        assert (told(here), held(here, "rooms", KEYS)) == wanted, f"killed at write {n}"
        verify(here, "rooms")
