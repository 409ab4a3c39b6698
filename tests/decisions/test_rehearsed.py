"""Clicks of a game day are in the log, and nothing that learns, compares, counts or corrects sees them."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl

from headgate.contract.gameday import tag_of
from headgate.decisions import gameday, latency
from headgate.decisions.compaction import compact
from headgate.decisions.latency import Latency
from headgate.decisions.reading import find, listed, parts, read_part
from headgate.decisions.recorder import Segments
from headgate.domain import get_domain, live_of
from headgate.domains.adclicks.data import raw
from headgate.domains.adclicks.serving.warming import logged
from headgate.domains.capacity.companions.robots import counted
from headgate.settings import Settings

from .rows import NOON, row

MINUTE = timedelta(minutes=1)
NOW = datetime.now(UTC)


def log_both(settings: Settings) -> None:
    """Three clicks of people, and five of a game day that were all decided against."""
    recorder = Segments(settings)
    tagged = {"campaign": f"{tag_of('sale')}campaign-1", "against": True}
    recorder.record("adclicks", [row(f"p{n}", NOW) for n in (1, 2, 3)])
    recorder.record("adclicks", [row(f"g{n}", NOW, **tagged) for n in range(5)])
    recorder.roll(everything=True)
    compact(settings, "adclicks")


def test_whatever_reads_part_by_part_sees_people_only(settings: Settings) -> None:
    """The watch, drift, shadows, replays and masks of robots do."""
    log_both(settings)
    assert [one for _, part in parts(settings, "adclicks") for one in part["decision_id"]] == ["p1", "p2", "p3"]
    seen = counted(settings, "adclicks", NOW - MINUTE, NOW + MINUTE)
    assert (seen.decisions.sum(), seen.against.sum()) == (3, 0)


def test_what_is_exported_to_train_on_has_none(settings: Settings, tmp_path: Path) -> None:
    log_both(settings)
    told = live_of("adclicks").export(settings, tmp_path / "out", None)
    clicks = pl.concat(raw.read_table(path, "clicks") for path in (tmp_path / "out" / "clicks").iterdir())
    assert sorted(clicks["click_id"]) == ["click p1", "click p2", "click p3"]
    assert "3 of them new" in told.words()


def test_a_decision_of_a_game_day_can_be_asked_for_and_counters_warm_with_it(settings: Settings) -> None:
    log_both(settings)
    found = find(settings, "adclicks", "g3")
    assert found is not None
    assert found[1]["campaign"][0].startswith("gameday:sale/")
    assert sum(len(read_part(settings, "adclicks", part)) for part in listed(settings, "adclicks")) == 8
    warmed, _ = logged(settings, NOW + MINUTE)
    assert len(warmed) == 8


def test_slow_requests_of_a_game_day_are_no_alert(settings: Settings, monkeypatch) -> None:
    requests = iter([0, 10_000, 20_000, 30_000])
    monkeypatch.setattr(latency, "running", lambda _: {"headgate": "http://127.0.0.1:9"})
    monkeypatch.setattr(latency, "counted", lambda *_: latency.Counted(n := next(requests), n / 2))
    answer = type("Answer", (), {"text": "", "raise_for_status": lambda self: self})
    monkeypatch.setattr(latency.httpx, "get", lambda *_, **__: answer())
    looks = Latency(settings, get_domain("adclicks"), since=NOON)
    assert looks.look(NOON) == []
    told = {"start": (NOON + MINUTE).isoformat(), "end": (NOON + 2 * MINUTE).isoformat()}
    gameday.write_json(settings.home / gameday.FILE, told)
    assert looks.look(NOON + 3 * MINUTE) == [], "the game day lies between the two looks"
    (alert,) = looks.look(NOON + 4 * MINUTE)
    assert "5,000 of 10,000" in alert.words


def test_a_game_day_is_noted_from_its_start_and_to_its_end(settings: Settings) -> None:
    before = datetime.now(UTC)
    with gameday.noted(settings.home, 60 * MINUTE):
        assert gameday.touched(settings.home, before + 30 * MINUTE, before + 31 * MINUTE), "as planned, if it is killed"
    assert not gameday.touched(settings.home, before + 30 * MINUTE, before + 31 * MINUTE)
    assert gameday.touched(settings.home, before - MINUTE, datetime.now(UTC))
