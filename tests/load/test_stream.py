"""Live traffic behind a demonstration: each request at its time, a server that is away waited for, an end at once."""

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from headgate.contract.demonstration import Call, Demonstration, Play
from headgate.files import write_json
from headgate.load import stream
from headgate.settings import Settings

from ..toy import ROOMS
from .servers import answering, ok


def known(settings: Settings, address: str) -> None:
    """Let `address` be where decisions are asked for."""
    told = {"url": address, "health": f"{address}/healthz", "page": address}
    write_json(settings.servers_file, {"headgate": told})


def calls(*after: float) -> Iterator[Call]:
    """Requests at so many seconds from now on, each with its place as body."""
    now = time.time()
    return (Call("/v1/rooms/decisions", f"{number}".encode(), now + late) for number, late in enumerate(after))


def test_every_request_is_sent_at_its_time(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "MOST", 1000.0)
    seen: list[float] = []

    def answer(number: int) -> bytes:
        seen.append(time.time())
        return ok()

    with answering(answer) as address:
        known(settings, address)
        began = time.time()
        stream.send_traffic(settings, "rooms", lambda: calls(0, 0.2, 0.4), threading.Event())
    asked = seen[1:]  # the first asks whether it is up
    assert len(asked) == 3
    assert asked[1] - began >= 0.2
    assert asked[2] - began >= 0.4


def test_no_more_are_sent_than_may_be(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "MOST", 20.0)
    with answering(lambda number: ok()) as address:
        known(settings, address)
        began = time.monotonic()
        stream.send_traffic(settings, "rooms", lambda: calls(*[0] * 6), threading.Event())
    assert time.monotonic() - began >= 6 / 20


def test_a_server_that_is_away_is_waited_for(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "FIRST", 0.01)
    # up? a closed connection · up? 503 · 429 · taken: whatever is asked, it is asked until it is taken
    answers = [ok(), None, ok(), ok(status="503 Unavailable"), ok(status="429 Slowly"), ok()]
    seen: list[int] = []

    def answer(number: int) -> bytes | None:
        seen.append(number)
        return answers[number]

    with answering(answer) as address:
        known(settings, address)
        stream.send_traffic(settings, "rooms", lambda: calls(0), threading.Event())
    assert len(seen) == len(answers)


def test_what_is_too_late_is_left_out(settings: Settings) -> None:
    seen: list[int] = []
    with answering(seen.append) as address:
        known(settings, address)
        stream.send_traffic(settings, "rooms", lambda: calls(-stream.LATE - 1), threading.Event())
    assert seen == []


def test_a_refusal_ends_it_in_words(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    def refuse(number: int) -> bytes:
        assert number < 2
        return ok(status="401 Unauthorized" if number else "200 OK")

    with answering(refuse) as address:
        known(settings, address)
        stream.send_traffic(settings, "rooms", lambda: calls(0, 0, 0), threading.Event())
    assert "HEADGATE_TOKEN" in caplog.text


def test_what_is_refused_for_what_it_is_is_told_once(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    with answering(lambda number: ok(b"no such step", "422 No" if number else "200 OK")) as address:
        known(settings, address)
        stream.send_traffic(settings, "rooms", lambda: calls(0, 0), threading.Event())
    assert caplog.text.count("no such step") == 1


def test_it_ends_at_once(settings: Settings, tmp_path: Path) -> None:
    traffic = Demonstration(traffic=lambda settings, play: calls(0, 3600))
    shown = replace(ROOMS, demonstration=traffic)
    play = Play(tmp_path, ROOMS.demo, "calm", *[None] * 2)  # type: ignore[arg-type]
    with stream.flowing(settings, [(shown, play), (ROOMS, play)]):  # no server is up at all
        (thread,) = [one for one in threading.enumerate() if one.name == "headgate-traffic-rooms"]
        began = time.monotonic()
    assert not thread.is_alive()
    assert time.monotonic() - began < 2
