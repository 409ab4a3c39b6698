"""Counters in Redis through everything that can happen to a server: stopped, killed, flushed, warmed again."""

import asyncio
import logging
import signal
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from headgate import settings as settings_module
from headgate.decisions.recorder import Segments
from headgate.domains.adclicks.features import redis_counters
from headgate.domains.adclicks.features.click import Click, micros
from headgate.domains.adclicks.features.redis_counters import RedisCounters
from headgate.domains.adclicks.features.windows import HISTORY
from headgate.domains.adclicks.serving import warming
from headgate.domains.adclicks.serving.log_rows import LoggedClick
from headgate.errors import UsageError
from headgate.serving.redis import ask, connect
from headgate.settings import Settings

from ....redises import Server, cluster, encrypted, running
from .stores import feature, memory

NOW = datetime.now(UTC)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running() as server:
        yield server


@pytest.fixture
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, server: Server) -> Settings:
    monkeypatch.setenv("HEADGATE_HOME", str(tmp_path_factory.mktemp("home")))
    monkeypatch.setenv("HEADGATE_REDIS", server.url)
    return settings_module.load()


@dataclass
class Scene:
    """Counters that run, and whether they noticed a flush."""

    counters: RedisCounters
    flushes: list[int] = field(default_factory=list)

    async def see(self, *clicks: Click) -> np.ndarray | None:
        return (await self.counters.observe(clicks)).vectors

    async def until_back(self, *clicks: Click) -> np.ndarray:
        """Ask with new clicks until an answer comes."""
        async with asyncio.timeout(20):
            while (found := await self.see(*clicks)) is None:
                await asyncio.sleep(0.01)
        return found


def play(server: Server, story: Callable[[Scene], Awaitable[Any]], deadline: float = 0.2) -> Any:
    """Play `story` with counters on an empty server."""

    async def whole() -> Any:
        client = connect(server.url)
        await client.flushall()
        scene = Scene(RedisCounters(client, deadline, on_flushed=lambda: scene.flushes.append(1)))
        async with scene.counters.running():
            return await story(scene)

    return asyncio.run(whole())


def click(name: str, seconds: float = 0.0, user: str = "u", ip: str = "10.0.0.1", session: str = "s") -> Click:
    time = NOW + timedelta(seconds=seconds)
    return Click(name, time, 0, user, session, ip, "mobile", logged_in=False, received_at=time)


def test_a_server_that_hangs_is_not_waited_for_and_what_was_owed_is_counted(server: Server) -> None:
    async def story(scene: Scene) -> None:
        assert await scene.see(click("a")) is not None
        server.send(signal.SIGSTOP)
        assert await scene.see(click("b", 1)) is None
        assert await scene.see(click("c", 2)) is None
        server.send(signal.SIGCONT)
        found = await scene.until_back(click("d", 3))
        assert feature(found[0], "user_clicks_1m") == 3, "b and c count, once each, and d is not counted twice"

    play(server, story)


def test_one_answer_that_comes_too_late_costs_no_other_click_its_own(server: Server) -> None:
    async def story(scene: Scene) -> None:
        assert await scene.see(click("a")) is not None
        server.send(signal.SIGSTOP)
        assert await scene.see(click("b", 1)) is None
        server.send(signal.SIGCONT)
        found = await scene.see(click("c", 2))
        assert found is not None
        assert feature(found[0], "user_clicks_1m") == 2, "a and b"
        await asyncio.wait_for(scene.counters._reviving, 20)
        found = await scene.see(click("d", 3))
        assert feature(found[0], "user_clicks_1m") == 3, "b was asked again, and counts once"

    play(server, story, deadline=0.5)


def test_the_log_says_that_it_is_away_and_that_it_is_back_in_turn(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    async def story(scene: Scene) -> None:
        for again in range(3):
            assert await scene.see(click(f"a{again}")) is not None
            server.send(signal.SIGSTOP)
            for number in range(redis_counters.MISSES + 1):
                assert await scene.see(click(f"b{again}-{number}", 1)) is None
            server.send(signal.SIGCONT)
            await scene.until_back(click(f"c{again}", 2))

    play(server, story, deadline=0.05)
    said = [record.getMessage() for record in caplog.records if record.name == redis_counters.__name__]
    assert [one.partition(" are ")[2][:4] for one in said] == ["away", "back"] * 3


def test_what_is_owed_as_a_process_ends_is_counted_before_it_has_ended(server: Server) -> None:
    async def story() -> None:
        scene, next_process = Scene(RedisCounters(connect(server.url), 0.2)), RedisCounters(connect(server.url), 20.0)
        async with scene.counters.running():
            server.send(signal.SIGSTOP)
            assert await scene.see(click("a", user="ends")) is None
            server.send(signal.SIGCONT)
        async with next_process.running():
            found = (await next_process.observe([click("b", 1, user="ends")])).vectors
        assert feature(found[0], "user_clicks_1m") == 1

    asyncio.run(story())


def test_a_server_that_was_killed_is_used_again_and_what_it_lost_is_said(server: Server) -> None:
    async def story(scene: Scene) -> None:
        assert await scene.see(*(click(f"a{n}", n) for n in range(5))) is not None
        begun = len(scene.flushes)
        server.kill()
        assert await scene.see(click("b", 6)) is None
        server.start()
        found = await scene.until_back(click("c", 7))
        assert feature(found[0], "user_clicks_1m") == 1, "b was owed"
        assert len(scene.flushes) > begun
        later = click("d", HISTORY / 1e6 - 60, user="v")
        assert list((await scene.counters.observe([later])).complete) == [False]

    play(server, story)


def test_a_server_that_is_away_at_the_start_is_found_later(server: Server) -> None:
    async def story() -> None:
        server.kill()
        scene = Scene(RedisCounters(connect(server.url), 0.2))
        async with scene.counters.running():
            assert await scene.see(click("a")) is None
            server.start()
            await scene.until_back(click("b"))

    asyncio.run(story())


def test_what_is_owed_is_bounded_and_then_windows_are_not_called_complete(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_counters, "MOST_OWED", 3)

    async def story(scene: Scene) -> None:
        future = timedelta(microseconds=2 * HISTORY).total_seconds()
        await ask(scene.counters._client, [("SET", redis_counters.mark(tag), 0) for tag in range(256)])
        assert list((await scene.counters.observe([click("a")])).complete) == [True]
        server.send(signal.SIGSTOP)
        for n in range(5):
            assert await scene.see(click(f"b{n}", n)) is None
        server.send(signal.SIGCONT)
        await scene.until_back(click("c", 6))
        soon, later = await scene.counters.observe([click("d", 7)]), await scene.counters.observe([click("e", future)])
        assert (list(soon.complete), list(later.complete)) == ([False], [True])

    play(server, story)


@pytest.mark.nightly
def test_a_cluster_of_three_answers_what_one_process_answers(home: Settings) -> None:
    """Users and IPs lie on different nodes; and a cluster is warmed like a server."""
    random = np.random.default_rng(5)
    clicks = [
        click(f"c{n}", n / 10, f"u{random.integers(30)}", f"10.0.0.{random.integers(20)}", f"s{random.integers(60)}")
        for n in range(600)
    ]
    whole = memory()
    expected = whole.observe(clicks)

    async def story(url: str) -> np.ndarray:
        counters = RedisCounters(connect(url), 10.0)
        async with counters.running():
            first = await counters.observe(clicks[:300])
            record(home, clicks[:300], NOW - timedelta(hours=1))
            await counters._client.flushall(target_nodes="primaries")
            client = connect(url)
            assert await warming.warm_redis(client, home) > 40
            await client.aclose()
            rest = await counters.observe(clicks[300:])
            assert first.vectors is not None
            assert rest.vectors is not None
            return np.concatenate([first.vectors, rest.vectors])

    with cluster() as url:
        assert np.array_equal(asyncio.run(story(url)), expected)


def test_an_encrypted_server_is_trusted_by_the_authority_that_its_address_names() -> None:
    async def story(url: str) -> np.ndarray | None:
        counters = RedisCounters(connect(url), 20.0)
        async with counters.running():
            return (await counters.observe([click("a")])).vectors

    with encrypted() as url:
        assert asyncio.run(story(url)) is not None
        assert asyncio.run(story(url.partition("?")[0])) is None, "no authority that is known vouches for it"


def test_an_address_that_is_none_is_refused_with_words() -> None:
    with pytest.raises(UsageError, match="HEADGATE_REDIS"):
        connect("localhost:6379")


PLACES = st.tuples(st.sampled_from("uvw"), st.sampled_from(["10.0.0.1", "10.0.0.2"]), st.sampled_from("st"))
HISTORIES = st.lists(st.tuples(st.sampled_from([0, 1, 5, 60, 600, 4000, 50_000]), PLACES), min_size=1, max_size=12)


def record(settings: Settings, clicks: Sequence[Click], decided: datetime) -> None:
    """Log `clicks` as they are logged when they are answered."""
    recorder = Segments(settings)
    rows = [
        LoggedClick(
            f"d-{one.click_id}", micros(decided), 1, "b", "", "champion", "all", "valid", one.click_id,
            micros(one.event_time), 0, micros(one.received_at), one.user_id, one.session_id, one.ip, one.device,
            one.logged_in, "", None, None, None, None, True, None,
        )
        for one in clicks
    ]  # fmt: skip
    recorder.record("adclicks", rows)
    recorder.roll(everything=True)


@given(HISTORIES, st.integers(0, 12), st.integers(1, 4))
@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
def test_a_flushed_server_warmed_from_the_log_answers_as_if_nothing_had_happened(
    server: Server, home: Settings, steps: list[tuple[int, tuple[str, str, str]]], lost: int, cut: int
) -> None:
    """Clicks before the flush, after it and before warming, and warming that is cut off in the middle."""
    passed, clicks = -sum(step for step, _ in steps), []
    for n, (step, (user, ip, session)) in enumerate(steps):
        passed += step
        clicks.append(click(f"c{n}", passed, user, ip, session))
    before, after = clicks[:lost], clicks[lost:]
    for path in home.home.rglob("*.seg"):
        path.unlink()
    record(home, before, NOW - timedelta(days=1))
    probes = [click(f"p{u}{i}", 1, u, i) for u in "uvw" for i in ("10.0.0.1", "10.0.0.2")]

    async def story(scene: Scene) -> np.ndarray | None:
        await scene.see(*before)
        await scene.counters._client.flushall()
        await scene.until_back(*after) if after else None
        client = connect(server.url)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(warming, "PART", 1)
            patch.setattr(warming, "ask", cutting(cut))
            with suppress(ConnectionError):
                await warming.warm_redis(client, home)
        await warming.warm_redis(client, home)
        assert await warming.warm_redis(client, home) == 0 or not before
        await client.aclose()
        return await scene.until_back(*probes)

    found = play(server, story, deadline=10.0)
    whole = memory()
    whole.observe(clicks)
    assert np.array_equal(found, whole.observe(probes))


def cutting(after: int) -> Callable[..., Awaitable[list[Any]]]:
    """`ask` until it has added to so many entities; then the connection breaks."""
    left = after

    async def some(client: Any, commands: Sequence[Any]) -> list[Any]:
        nonlocal left
        if commands[0][0] == "FCALL":
            left -= 1
            if left < 0:
                raise ConnectionError
        return await ask(client, commands)

    return some


def test_warming_makes_the_windows_complete_where_the_log_goes_back_far_enough(server: Server, home: Settings) -> None:
    record(home, [click("old", -HISTORY / 1e6 * 1.5)], NOW - timedelta(microseconds=1.5 * HISTORY))

    async def story(scene: Scene) -> None:
        assert list((await scene.counters.observe([click("a")])).complete) == [False]
        client = connect(server.url)
        await warming.warm_redis(client, home)
        await client.aclose()
        assert list((await scene.counters.observe([click("b")])).complete) == [True]

    play(server, story)


def test_one_process_warms_at_a_time(server: Server, home: Settings) -> None:
    record(home, [click("a", -60)], NOW - timedelta(hours=1))

    async def story(scene: Scene) -> list[int]:
        clients = [connect(server.url) for _ in range(3)]
        added = await asyncio.gather(*(warming.warm_redis(client, home) for client in clients))
        for client in clients:
            await client.aclose()
        return added

    assert sorted(play(server, story)) == [0, 0, 2], "one user and one IP, added by one of them"


def test_a_process_starts_with_what_its_log_holds(home: Settings) -> None:
    record(home, [click(f"c{n}", n - 60) for n in range(4)], NOW - timedelta(minutes=1))
    store = memory()
    assert warming.warm_memory(store.counters, home) == 4
    assert feature(store.observe([click("d")])[0], "user_clicks_10m") == 4


def test_rows_of_a_log_are_bounded_by_what_a_window_reaches(home: Settings) -> None:
    record(home, [click("ancient")], NOW - timedelta(microseconds=3 * HISTORY))
    clicks, _ = warming.logged(home, NOW)
    assert clicks.is_empty()
