"""What people ruled is in a backup, as it stood, and comes back into whichever database there is."""

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from headgate.decisions.reviews import queue, trail
from headgate.decisions.reviews.answers import Answer, rule
from headgate.decisions.reviews.cases import open_cases
from headgate.decisions.reviews.claims import Reader, claim
from headgate.decisions.reviews.verify import verify
from headgate.errors import HeadgateError, UsageError
from headgate.operations.backup import make_backup
from headgate.operations.restore import restore_backup
from headgate.registry.ledger import Entry, Ledger
from headgate.settings import Settings

from ..postgres import Postgres, postgres
from ..toy_reviews import RULED, room_case

__all__ = ["postgres"]


def work(settings: Settings) -> None:
    """A case that is ruled on, and one that somebody reads."""
    Ledger(settings).append(Entry("rooms", "alert", "a test"))
    open_cases(settings, RULED, [room_case("d-1"), room_case("d-2")])
    held = claim(settings, RULED, Reader("ann"), "d-1")
    assert held is not None
    rule(settings, RULED, Reader("ann"), "d-1", held.token, Answer("cold", "x"))
    claim(settings, RULED, Reader("ann"), "d-2")


def test_they_come_back_and_nobody_holds_a_claim(settings: Settings, tmp_path: Path) -> None:
    work(settings)
    made = make_backup(settings, tmp_path / "backup.tar")
    there = replace(settings, home=tmp_path / "there")
    restore_backup(Path(made.file), there)
    assert trail.events(there, "rooms") == trail.events(settings, "rooms")
    assert verify(there, "rooms") == 3
    assert queue.count(there, "rooms").claimed == 0
    assert claim(there, RULED, Reader("ben"), "d-2") is not None


def test_they_go_from_one_kind_of_database_to_the_other(settings: Settings, tmp_path: Path, postgres: Postgres) -> None:
    here = replace(settings, reviews=postgres.url(postgres.database()))
    work(here)
    made = make_backup(here, tmp_path / "backup.tar")
    one = replace(settings, home=tmp_path / "one")
    restore_backup(Path(made.file), one)
    assert trail.events(one, "rooms") == trail.events(here, "rooms")
    other = replace(settings, home=tmp_path / "other", reviews=postgres.url(postgres.database()))
    restore_backup(Path(made.file), other)
    assert trail.events(other, "rooms") == trail.events(here, "rooms")
    assert verify(other, "rooms") == 3
    assert not (other.home / "reviews.db").exists()
    open_cases(other, RULED, [room_case("d-3")])
    with pytest.raises(UsageError, match="HEADGATE_REVIEWS names has other reviews"):
        restore_backup(Path(made.file), replace(other, home=tmp_path / "again"))


def test_reviews_that_are_not_what_they_were_are_not_backed_up(settings: Settings, tmp_path: Path) -> None:
    work(settings)
    with sqlite3.connect(settings.home / "reviews.db") as database:
        database.execute("update headgate_review_rulings set outcome = 'fine'")
    with pytest.raises(HeadgateError, match="ruling 3 is not what"):
        make_backup(settings, tmp_path / "backup.tar")
    assert not (tmp_path / "backup.tar").exists()
