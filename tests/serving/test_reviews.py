"""Reviews over HTTP: the same doors as for all, roles by a token's scopes, and what Prometheus sees."""

import warnings
from collections.abc import Callable
from typing import Any

import pytest

from headgate.access import tokens
from headgate.decisions.reviews.cases import open_case, open_cases
from headgate.domain import known_scopes
from headgate.serving.app import build
from headgate.settings import Settings

from ..rooms import READING, make_bundle
from ..toy import Rooms
from ..toy_reviews import CARETAKER, RULED, SENIOR, room_case, ruled
from . import real

BASE = "/v1/rooms/reviews"


@pytest.fixture
def shown(settings: Settings) -> Callable[..., dict[str, str]]:
    """The header that shows a token with the named scopes."""

    def header(name: str, *scopes: str) -> dict[str, str]:
        token = tokens.add(settings.tokens_file, name, [*scopes, "read"], known_scopes([RULED]))
        return {"Authorization": f"Bearer {token}"}

    return header


@pytest.fixture
def post(settings: Settings, tmp_path: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Starlette would like another client than the one that is installed
        from starlette.testclient import TestClient
    with real.real_app(settings, RULED, Rooms(make_bundle(tmp_path, "tiny"))) as app:
        client = TestClient(app, base_url="http://127.0.0.1")

        def send(name: str, headers: dict[str, str] | None = None, **body: Any) -> Any:
            return client.post(f"{BASE}/{name}", json=body, headers=headers)

        send.get = lambda path, **more: client.get(path, **more)  # type: ignore[attr-defined]
        send.decide = lambda **more: client.post("/v1/rooms/decisions", json=READING | more)  # type: ignore[attr-defined]
        yield send


def test_a_cold_room_is_a_case_that_is_claimed_ruled_taken_back_and_appealed(post: Any) -> None:
    decision = post.decide(degrees=10.0).json()["decision_id"]
    assert post.decide(degrees=20.0).json()["outcome"] == "fine"
    waits = post.get(BASE).json()
    assert (waits["waiting"], waits["cases"][0]["title"], waits["cases"][0]["holder"]) == (1, "Room a", None)
    held = post("claims").json()
    assert (held["case"], held["about"]["degrees"], held["why"]) == (decision, 10.0, "it is 10 °C colder than usual")
    assert "propensity" not in str(held)
    told = {"case": decision, "claim": held["claim"], "outcome": "fine", "client": "k", "labels": {"cause": "window"}}
    made = post("rulings", **told)
    assert made.status_code == 200
    assert post("rulings", **told).json() == made.json()
    back = post("undo", ruling=made.json()["ruling"]).json()
    again = told | {"claim": back["claim"], "client": "k-2"}
    assert post("renewals", case=decision, claim=back["claim"]).json()["until"] >= back["until"]
    assert post("rulings", **again).json()["ruling"] > made.json()["ruling"]
    assert post("claims").json() is None
    assert post("appeals", case=decision, client="a", why="It was cold.").json() == {"new": True}
    assert post("appeals", case=decision, client="a", why="It was cold.").json() == {"new": False}
    assert post("appeals", case=decision, client="b").status_code == 409


def test_what_a_token_may_its_scopes_say(post: Any, settings: Settings, shown: Callable[..., dict[str, str]]) -> None:
    ann, ben, eve = shown("ann", CARETAKER), shown("ben", CARETAKER), shown("eve", "operate")
    open_case(settings, RULED, room_case("d-1"))
    refused = post("claims", eve)
    assert refused.status_code == 403
    assert f"use one with the scope `{CARETAKER}` or `{SENIOR}`" in refused.json()["detail"]
    assert post("claims").status_code == 401
    held = post("claims", ann).json()
    taken = post("claims", ben, case="d-1")
    assert (taken.status_code, taken.json()["type"]) == (409, "/docs#conflict")
    assert "ann has this case until" in taken.json()["detail"]
    told = {"case": "d-1", "claim": held["claim"], "outcome": "cold", "client": "k"}
    assert post("rulings", ben, **told).status_code == 409
    assert post("rulings", ann, **told).json()["who"] == "ann"
    assert post("appeals", ann, case="d-1", client="x").status_code == 403  # needs `decide`
    released = post("releases", ann, case="d-1", claim=1)
    assert released.status_code == 200


@pytest.mark.parametrize(
    ("name", "body", "status"),
    [
        ("claims", {"case": "no such"}, 422),
        ("claims", {"strange": 1}, 422),
        ("rulings", {"case": "d-1", "claim": 1, "outcome": "warm", "client": "k"}, 422),
        ("rulings", {"case": "d-1", "claim": 1, "outcome": "cold", "client": ""}, 422),
        ("rulings", {"case": "d-1", "claim": 99, "outcome": "cold", "client": "k"}, 409),
        ("undo", {"ruling": 99}, 422),
        ("renewals", {"case": "d-1", "claim": 99}, 409),
        ("appeals", {"case": "d-1", "client": "a"}, 422),
    ],
)
def test_what_cannot_be_is_a_problem(
    post: Any, settings: Settings, name: str, body: dict[str, Any], status: int
) -> None:
    open_case(settings, RULED, room_case("d-1"))
    answer = post(name, **body)
    assert answer.status_code == status
    assert answer.json()["detail"]


def test_prometheus_sees_what_waits_and_what_is_overdue(post: Any, settings: Settings) -> None:
    open_cases(settings, RULED, [room_case("d-1"), room_case("d-2")])
    told = post.get("/metrics").text
    assert 'headgate_reviews_waiting{domain="rooms"} 2.0' in told
    assert 'headgate_reviews_overdue{domain="rooms"} 0.0' in told


def test_the_docs_tell_of_it(post: Any) -> None:
    document = post.get("/openapi.json").json()
    assert {path for path in document["paths"] if path.startswith(BASE)} == {
        BASE,
        *(f"{BASE}/{name}" for name in ("claims", "renewals", "releases", "rulings", "undo", "appeals")),
    }


def test_a_role_that_no_token_can_have_is_found_before_anything_is_served(settings: Settings) -> None:
    strange = ruled(roles={"rooms.caretakr": RULED.ruled_on.roles[CARETAKER]})
    with pytest.raises(ValueError, match=r"rooms\.caretakr"):
        build([strange], settings)
