"""What people ruled holds in what is read of the log, and costs a part only what concerns it."""

import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from headgate.decisions import rulings
from headgate.decisions.layout import claim, corrections_folder
from headgate.decisions.reading import effective, parts
from headgate.decisions.reviews import trail
from headgate.decisions.rulings import held, rule
from headgate.decisions.trace import trace_decision
from headgate.errors import UsageError
from headgate.settings import Settings

from ..toy import ROOMS
from .made import LOG, make_log


def holds(settings: Settings) -> dict[str, str]:
    found: dict[str, str] = {}
    for part, rows in parts(settings, LOG):
        now = effective(settings, LOG, rows, part)
        found |= dict(now.filter("ruled").select("decision_id", "outcome").iter_rows())
    return found


def ids(settings: Settings) -> list[str]:
    return [one for _, rows in parts(settings, LOG) for one in rows["decision_id"]]


def test_the_newest_ruling_holds_and_a_repeated_call_is_one(settings: Settings) -> None:
    make_log(settings, 20, part=10)
    one, two, *_ = ids(settings)
    rule(settings, ROOMS, [one, two], outcome="cold", who="ann", why="", client="x")
    rule(settings, ROOMS, [two], outcome="hot", who="ben", why="")
    rule(settings, ROOMS, [one, two], outcome="cold", who="ann", why="", client="x")
    assert holds(settings) == {one: "cold", two: "hot"}
    with pytest.raises(UsageError, match="no outcome 'warm'"):
        rule(settings, ROOMS, [one], outcome="warm", who="ann", why="")


def test_a_trace_tells_who_ruled_and_why(settings: Settings) -> None:
    make_log(settings, 5)
    one = ids(settings)[0]
    rule(settings, ROOMS, [one], outcome="hot", who="ann", why="I was there")
    told = trace_decision(settings, [ROOMS], one)
    assert [(row["by"], row["outcome"], row["who"]) for row in told.corrections] == [("rulings", "hot", "ann")]
    assert "(ruled by ann): too hot. I was there" in told.words()


@pytest.mark.parametrize("number", [37, 4_000])
def test_a_part_reads_only_the_rulings_on_its_own_decisions(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Ids are no numbers in order: `…-ff` lies behind `…-1000`. However they lie, a part reads no more than its own."""
    make_log(settings, 6_000, part=500)
    known = ids(settings)
    rule(settings, ROOMS, known[:number], outcome="hot", who="ann", why="")
    read: list[int] = []
    asked = rulings._asked

    def counted(*arguments: Any) -> list[tuple[str, str]]:
        found = asked(*arguments)
        read.append(len(found))
        return found

    monkeypatch.setattr(rulings, "_asked", counted)
    monkeypatch.setattr(rulings, "SETTLED", float("inf"))  # nothing from memory
    assert holds(settings) == dict.fromkeys(known[:number], "hot")
    assert len(read) == 12
    assert max(read) <= 500


def test_a_day_on_which_nobody_rules_any_more_is_read_once_and_a_new_ruling_holds_at_once(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_log(settings, 1_000, part=200)
    known = ids(settings)
    rule(settings, ROOMS, known[::3], outcome="hot", who="ann", why="")
    earlier = time.time() - 60
    os.utime(settings.home / "reviews.db", (earlier, earlier))
    rulings._of_day.cache_clear()
    with monkeypatch.context() as patch:
        patch.setattr(rulings, "_asked", None)  # whoever calls it fails
        assert holds(settings) == dict.fromkeys(known[::3], "hot")
        assert rulings._of_day.cache_info().misses == 1
    rule(settings, ROOMS, known[1::3], outcome="cold", who="ann", why="")
    assert holds(settings) == dict.fromkeys(known[::3], "hot") | dict.fromkeys(known[1::3], "cold")


def test_no_rulings_are_asked_for_where_nobody_ever_ruled(settings: Settings) -> None:
    make_log(settings, 5)
    assert holds(settings) == {}
    assert not (settings.home / "reviews.db").exists()
    assert held(settings, "rooms", []) == {}


def write_file(settings: Settings, at: datetime, rows: dict[str, str]) -> Path:
    """A file of rulings as a Headgate wrote it that had no database of them."""
    home = corrections_folder(settings, "rooms")
    claim(home)
    path = home / "rulings" / f"{at:%Y%m%dT%H%M%S%f}.parquet"
    path.parent.mkdir(exist_ok=True)
    told = [{"decision_id": one, "outcome": value, "who": "ann", "why": "then"} for one, value in rows.items()]
    pl.DataFrame(told).write_parquet(path)
    return path


def test_rulings_from_before_there_was_a_database_are_brought_in_once(settings: Settings) -> None:
    make_log(settings, 10)
    one, two, three, *_ = ids(settings)
    first = write_file(settings, datetime(2026, 1, 6, tzinfo=UTC), {one: "cold", two: "cold"})
    kept = first.read_bytes()
    write_file(settings, datetime(2026, 1, 7, tzinfo=UTC), {two: "hot"})
    rule(settings, ROOMS, [three], outcome="fine", who="ben", why="now")
    assert holds(settings) == {one: "cold", two: "hot", three: "fine"}
    assert not first.parent.exists()
    first.parent.mkdir()
    first.write_bytes(kept)  # as if its process had been killed before the file went
    assert holds(settings) == {one: "cold", two: "hot", three: "fine"}
    assert [event.who for event in trail.events(settings, "rooms")] == ["ann", "ann", "ann", "ben"]
