"""Whoever looks at latencies takes no game day's overload for a fault."""

from datetime import UTC, datetime, timedelta

from headgate.decisions import gameday, latency
from headgate.decisions.latency import Latency
from headgate.settings import Settings

from ..toy import ROOMS
from .rows import NOON

MINUTE = timedelta(minutes=1)


def test_slow_requests_of_a_game_day_are_no_alert(settings: Settings, monkeypatch) -> None:
    requests = iter([0, 10_000, 20_000, 30_000])
    monkeypatch.setattr(latency, "running", lambda _: {"headgate": "http://127.0.0.1:9"})
    monkeypatch.setattr(latency, "counted", lambda *_: latency.Counted(n := next(requests), n / 2))
    answer = type("Answer", (), {"text": "", "raise_for_status": lambda self: self})
    monkeypatch.setattr(latency.httpx, "get", lambda *_, **__: answer())
    looks = Latency(settings, ROOMS, since=NOON)
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
