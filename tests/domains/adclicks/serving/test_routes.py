import asyncio
import warnings
from datetime import UTC, datetime, timedelta

import httpx
import msgspec
import numpy as np
import pytest
from starlette.applications import Starlette

from headgate.api.problems import Problem, on_problem
from headgate.contract.slots import Loaded, Slots
from headgate.domains.adclicks.features.memory_counters import MemoryCounters
from headgate.domains.adclicks.model.predictor import Predictor
from headgate.domains.adclicks.serving.routes import MAX_CLICKS, routes

from ....hosts import host
from ..tiny import make_bundle

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)


def click(n: int = 0, **fields) -> dict:
    at = (NOON + timedelta(seconds=n)).isoformat()
    return {"click_id": f"c{n}", "event_time": at, "received_at": at, "user_id": "u", "ip": "192.0.2.1"} | fields


class Watched:
    """A predictor that keeps what it was asked."""

    def __init__(self, predictor, meanwhile=lambda: None):
        self.predictor, self.meanwhile, self.asked = predictor, meanwhile, []
        self.slices = predictor.slices

    def decide_vectors(self, features, device):
        self.asked.append((features, device))
        self.meanwhile()
        return self.predictor.decide_vectors(features, device)


@pytest.fixture(scope="module")
def predictor(tmp_path_factory):
    return Predictor(make_bundle(tmp_path_factory.mktemp("bundles"), "tiny"))


@pytest.fixture
def watched(predictor):
    return Watched(predictor)


@pytest.fixture
def slots(watched):
    slots = Slots()
    slots.set_champion(Loaded("adclicks", 7, "b", watched, NOON))
    return slots


@pytest.fixture
def counters():
    return MemoryCounters()


@pytest.fixture
def app(slots, counters):
    return Starlette(routes=routes(host(slots), counters), exception_handlers={Problem: on_problem})


@pytest.fixture
def post(app):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Starlette would like another client than the one that is installed
        from starlette.testclient import TestClient
    client = TestClient(app)

    def send(body, **options):
        content = body if isinstance(body, bytes) else msgspec.json.encode(body)
        return client.post("/v1/adclicks/decisions", content=content, **options)

    return send


def test_one_click_is_one_decision_without_a_score(post):
    answer = post(click(device="mobile")).json()
    assert answer.pop("decision_id")
    assert answer == {"click_id": "c0", "invalid": False, "slice": "mobile", "version": 7}


def test_a_list_is_decided_in_order_by_one_call_of_the_model(post, watched):
    answers = post([click(n) for n in range(5)]).json()
    assert [answer["click_id"] for answer in answers] == ["c0", "c1", "c2", "c3", "c4"]
    # sigmoid(clicks before - 3) reaches .5 at the fourth click of the minute
    assert [answer["invalid"] for answer in answers] == [False, False, False, True, True]
    assert len(watched.asked) == 1


def test_a_list_and_its_clicks_one_by_one_are_decided_alike(post, slots, counters, watched):
    listed = post([click(n) for n in range(6)]).json()
    single = [post(click(n, click_id=f"d{n}", user_id="v", ip="192.0.2.2")).json() for n in range(6)]
    assert [d["invalid"] for d in single] == [d["invalid"] for d in listed]
    together = watched.asked[0][0]
    apart = np.concatenate([features for features, _ in watched.asked[1:]])
    assert np.array_equal(together, apart)


def test_clicks_that_come_at_once_are_decided_by_one_call_of_the_model(app, post, watched):
    clicks = [click(n, user_id=f"u{n}", ip=f"192.0.2.{n}", device="mobile") for n in range(8)]

    async def at_once():
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await asyncio.gather(*(client.post("/v1/adclicks/decisions", json=one) for one in clicks))

    answers = [answer.json() for answer in asyncio.run(at_once())]
    assert [answer["click_id"] for answer in answers] == [one["click_id"] for one in clicks]
    assert len({answer["decision_id"] for answer in answers}) == len(clicks)
    assert len(watched.asked) == 1
    post(clicks)  # repeated ids are judged by the same counts
    np.testing.assert_array_equal(watched.asked[0][0], watched.asked[1][0])


def test_an_empty_list_is_answered_by_an_empty_list(post):
    assert post([]).json() == []


def test_a_repeated_id_is_answered_again_and_not_counted(post, counters):
    first = [post(click(n)).json() for n in range(5)]
    again = [post(click(n)).json() for n in reversed(range(5))][::-1]
    ids = {decision.pop("decision_id") for decision in first + again}
    assert again == first
    assert len(ids) == 10, "it is another decision all the same"
    assert counters.users.repeated == 5
    assert not post(click(0, click_id="new", user_id="w")).json()["invalid"]


def test_a_batch_is_decided_by_one_version_though_another_takes_its_place(post, slots, watched):
    watched.meanwhile = lambda: slots.set_champion(Loaded("adclicks", 8, "b", watched, NOON))
    assert {decision["version"] for decision in post([click(n) for n in range(3)]).json()} == {7}
    assert post(click(9)).json()["version"] == 8


def test_what_is_left_out_has_its_default(post, watched):
    sent = click()
    del sent["received_at"]
    assert post(sent).json()["slice"] == "other"
    (features, device) = watched.asked[0]
    assert (device.tolist(), features[0][-1]) == ([3], 0.0)


@pytest.mark.parametrize("body", [click(event_time="2026-01-05T20:00:00+09:00", received_at="2026-01-05T11:00:00Z")])
def test_the_offset_of_the_event_time_gives_the_local_hour(post, watched, body):
    from headgate.domains.adclicks.features.kernel import FEATURES

    post(body)
    vector = dict(zip(FEATURES, watched.asked[0][0][0], strict=True))
    assert vector["hour_sin"] == pytest.approx(np.sin(2 * np.pi * 20 / 24), abs=1e-6)
    assert vector["hour_cos"] == pytest.approx(np.cos(2 * np.pi * 20 / 24), abs=1e-6)


def without(name):
    return {key: value for key, value in click().items() if key != name}


@pytest.mark.parametrize(
    ("body", "pointer", "says"),
    [
        (without("ip"), "#/ip", "missing required field"),
        ([click(0), without("user_id")], "#/1/user_id", "missing required field"),
        (click(colour="red"), "#/colour", "unknown field"),
        ([click(**{"a/b~c": 1})], "#/0/a~1b~0c", "unknown field"),
        (click(user_id=3), "#/user_id", "Expected `str`"),
        (click(user_id=""), "#/user_id", "length >= 1"),
        (click(ip="x" * 257), "#/ip", "length <= 256"),
        (click(campaign="x" * 257), "#/campaign", "length <= 256"),
        (click(rfm=2), "#/rfm", ">= 3"),
        (click(rfm=16), "#/rfm", "<= 15"),
        (click(device="fridge"), "#/device", "fridge"),
        (click(logged_in="yes"), "#/logged_in", "Expected `bool`"),
        (click(event_time="yesterday"), "#/event_time", "RFC3339"),
        (click(event_time="2026-01-05T12:00:00"), "#/event_time", "timezone"),
        (click(received_at="2026-01-05T12:00:00"), "#/received_at", "timezone"),
        (click(event_time="2026-01-05T12:00:00+14:30"), "#/event_time", "offset"),
        (click(event_time="2026-01-05T12:05:01Z"), "#/event_time", "5 minutes"),
        (click(event_time="9999-01-05T12:05:01Z", received_at="9999-01-05T12:05:01Z"), "#/received_at", "our clock"),
        ([click(1), click(2, event_time="2026-01-05T13:00:00Z")], "#/1/event_time", "5 minutes"),
        (click(event_time="1970-01-01T00:00:00Z"), "#/event_time", "10 years"),
        (click(event_time="0001-01-01T00:00:00Z"), "#/event_time", "10 years"),
        (click(event_time="0001-01-01T00:00:00+14:00"), "#/event_time", "10 years"),
        (
            click(event_time="0001-01-01T00:00:00+14:00", received_at="0001-01-01T00:00:00+14:00"),
            "#/received_at",
            "10 years",
        ),
        (click(event_time="2999-01-05T12:00:00Z") | {"received_at": NOON.isoformat()}, "#/event_time", "5 minutes"),
        ([click(n) for n in range(MAX_CLICKS + 1)], "#", f"length <= {MAX_CLICKS}"),
        ([[click()]], "#/0", "Expected `object`"),
        (7, "#", "got `int`"),
        (None, "#", "got `null`"),
    ],
)
def test_what_is_not_a_click_is_refused_by_the_name_of_the_field(post, counters, body, pointer, says):
    answer = post(body)
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    (error,) = answer.json()["errors"]
    assert error["pointer"] == pointer
    assert says in error["detail"]
    assert counters.sizes["ids"] == 0, "nothing of a refused request is counted"


def test_a_click_without_received_at_cannot_be_from_the_future(post):
    sent = click(event_time="2999-01-05T12:00:00Z")
    del sent["received_at"]
    assert post(sent).status_code == 422


def test_a_click_that_is_learned_of_late_is_borne(post):
    assert post(click(event_time="2024-01-05T12:00:00Z")).status_code == 200


def test_a_clock_a_little_ahead_is_borne(post):
    assert post(click(event_time="2026-01-05T12:05:00Z")).status_code == 200


@pytest.mark.parametrize("body", [b"", b"{", b"click", b"[1] 2", b'{"ip": "\xff"}', b"[" * 100_000])
def test_what_is_not_json_is_refused(post, body):
    answer = post(body)
    assert answer.status_code in (400, 422)
    assert answer.json()["status"] == answer.status_code


def test_a_body_that_is_too_long_is_refused(post):
    answer = post(b"[" + b" " * (1 << 20) + b"]")
    assert (answer.status_code, answer.json()["type"]) == (413, "/docs#too-large")


def test_without_a_champion_nothing_is_counted(slots, counters, post):
    slots._champions.clear()
    assert post(click()).status_code == 503
    assert counters.sizes["ids"] == 0


def test_the_most_clicks_of_one_request_are_decided(post):
    assert len(post([click(n) for n in range(MAX_CLICKS)]).json()) == MAX_CLICKS
