"""The parts of the queue's page: what a reader is shown, what is kept from them, and words where it cannot be."""

import html
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import pytest
from starlette.applications import Starlette

from headgate.access import tokens
from headgate.console.queue import fields_of, given
from headgate.decisions.reviews import trail
from headgate.decisions.reviews.cases import open_case, open_cases
from headgate.domain import known_scopes
from headgate.errors import UsageError
from headgate.settings import Settings

from ..rooms import make_bundle
from ..serving import real
from ..toy import Rooms
from ..toy_reviews import CARETAKER, RULED, SENIOR, room_case, ruled
from .conftest import ORIGIN

QUEUE = "/console/rooms/queue"


@pytest.fixture
def app(here: Settings, tmp_path: Path) -> Iterator[Starlette]:
    with real.real_app(here, RULED, Rooms(make_bundle(tmp_path, "tiny"))) as made:
        yield made


@pytest.fixture
def person(app: Starlette, here: Settings, browse: Callable[..., Any]) -> Callable[..., Callable[..., Any]]:
    """Makes somebody who has a token, and posts to the queue's parts."""

    def named(name: str, *scopes: str) -> Callable[..., Any]:
        token = tokens.add(here.tokens_file, name, [*scopes, "read"], known_scopes([RULED]))
        client = browse(app, headers={"Authorization": f"Bearer {token}", "hx-request": "true"} | ORIGIN)

        def post(part: str, **fields: Any) -> Any:
            return client.post(f"{QUEUE}/{part}", data=fields)

        post.get = client.get  # type: ignore[attr-defined]
        return post

    return named


def attribute(page: str, name: str) -> str:
    found = re.search(rf'{name}="([^"]*)"', page)
    assert found
    return html.unescape(found[1])


def fields(page: str, **others: Any) -> dict[str, Any]:
    """The hidden fields of a card's form, and others."""
    hidden = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', page)
    return {name: html.unescape(value) for name, value in hidden} | others


def test_the_page_is_there_for_who_has_a_role_and_says_so_to_others(person: Callable[..., Any]) -> None:
    ann, eve = person("ann", CARETAKER), person("eve", "operate")
    assert "queue.js" in ann.get(QUEUE).text
    refused = eve.get(QUEUE)
    assert refused.status_code == 403
    assert f"use one with the scope `{CARETAKER}`" in html.unescape(refused.text)
    assert eve("claim").status_code == 403


def test_a_card_shows_the_room_and_a_key_for_each_outcome(person: Callable[..., Any], here: Settings) -> None:
    open_case(here, RULED, room_case("d-1", propensity=0.125, kind="cold room"))
    page = html.unescape(person("ann", CARETAKER)("claim").text)
    for words in ("Room a", "15.0 °C", "20.0 °C", "−5.0 °C", "it is 5 °C colder than usual", "cold room"):
        assert words in page
    assert re.findall(r'data-key="(\w)"', page) == ["f", "c", "h"]
    assert re.findall(r'data-digit="(\d)"', page) == ["1", "2", "3", "4"]
    assert "0.125" not in page
    assert "propensity" not in page


def test_a_ruling_can_be_sent_twice_and_taken_back(person: Callable[..., Any], here: Settings) -> None:
    open_case(here, RULED, room_case("d-1"))
    ann = person("ann", CARETAKER)
    told = fields(ann("claim").text, outcome="cold", label_cause="sun", label_seen="yes", why="It shone.")
    made = ann("rule", **told).json()
    assert made["words"] == "too cold"
    assert made["until"] - made["now"] == pytest.approx(60, abs=5)
    assert ann("rule", **told).json()["ruling"] == made["ruling"]
    event = trail.events(here, "rooms")[-1]
    assert (event.details["labels"], event.details["why"]) == ({"cause": "sun", "seen": True}, "It shone.")
    back = ann("undo", ruling=made["ruling"])
    assert attribute(back.text, "data-case") == "d-1"
    assert ann("undo", ruling=99).status_code == 422


def test_who_comes_second_is_told_who_has_the_case(person: Callable[..., Any], here: Settings) -> None:
    open_case(here, RULED, room_case("d-1"))
    ann, ben = person("ann", CARETAKER), person("ben", CARETAKER)
    held = ann("claim").text
    assert ben("claim").status_code == 204
    taken = ben("claim", case="d-1")
    assert taken.status_code == 409
    assert "ann has this case until" in taken.text
    lost = ben("rule", **fields(held, outcome="cold"))
    assert lost.status_code == 409
    assert ann("rule", **fields(held, outcome="cold")).status_code == 200
    decided = ben("rule", **fields(held, outcome="hot", client="ben"))
    assert "ann has ruled it cold" in html.unescape(decided.text)


def test_what_waits_is_sent_once_until_somebody_moves(person: Callable[..., Any], here: Settings) -> None:
    open_cases(here, RULED, [room_case("d-1"), room_case("d-2", room="<b>", degrees=1.0)])
    ann, ben = person("ann", CARETAKER), person("ben", CARETAKER)
    first = ben.get(f"{QUEUE}/beside")
    assert "2 cases wait" in first.text
    assert "<b>" not in first.text
    version = {"v": attribute(first.text, "data-version")}
    assert ben.get(f"{QUEUE}/beside", params=version).status_code == 204
    ann("claim")
    second = ben.get(f"{QUEUE}/beside", params=version)
    assert re.findall(r'<span class="chip">(\w+)</span>', second.text) == ["ann"]
    assert ">yours<" in ann.get(f"{QUEUE}/beside").text
    assert ben.get(f"{QUEUE}/beside", params={"v": "nonsense"}).status_code == 200


def test_a_second_reader_is_shown_nothing_of_the_first(
    here: Settings, tmp_path: Path, browse: Callable[..., Any]
) -> None:
    twice = ruled(second_share=1.0, undo_seconds=0.0)
    with real.real_app(here, twice, Rooms(make_bundle(tmp_path, "tiny"))) as app:
        open_case(here, twice, room_case("d-1"))
        pages, lists, clients = [], [], {}
        for name, scope in (("ann", CARETAKER), ("ben", CARETAKER), ("sue", SENIOR)):
            token = tokens.add(here.tokens_file, name, [scope, "read"], known_scopes([twice]))
            clients[name] = browse(app, headers={"Authorization": f"Bearer {token}", "hx-request": "true"} | ORIGIN)
        for name, client in clients.items():
            lists.append(re.sub(r'data-\w+="[^"]*"', "", client.get(f"{QUEUE}/beside").text))
            pages.append(client.post(f"{QUEUE}/claim").text)
            outcome = "cold" if name == "ann" else "hot"
            told = fields(pages[-1], outcome=outcome, why=f"{name} looked")
            assert client.post(f"{QUEUE}/rule", data=told).status_code == 200
    first, second = (re.sub(r'(data-(until|now|claim)|value)="[^"]*"', "", page) for page in pages[:2])
    assert first == second
    assert lists[0] == lists[1]
    assert "two disagree" in pages[2]
    assert "ann looked" in pages[2]
    assert "ben looked" in pages[2]


class Shapes(msgspec.Struct):
    kind: Literal["tear", "hole"] | None = None
    severity: Literal[0, 1, 2] = 0
    sure: bool = False
    width: Annotated[float, msgspec.Meta(gt=0)] | None = None
    note: str = ""
    boxes: list[list[float]] = []


def test_labels_become_fields_and_what_is_sent_becomes_labels() -> None:
    made = fields_of(Shapes, taken="1")
    kinds = {field["name"]: field["kind"] for field in made}
    assert kinds == {
        "kind": "choice",
        "severity": "choice",
        "sure": "truth",
        "width": "number",
        "note": "text",
        "boxes": "json",
    }
    assert [key for field in made for _, key in field["values"]] == ["2", "3", "4", "5", "6"]
    sent = {"kind": "tear", "severity": "2", "sure": "yes", "width": "1.5", "note": "n", "boxes": "[[0, 1]]"}
    told = given(made, {f"label_{name}": value for name, value in sent.items()} | {"label_strange": "x"})
    assert msgspec.convert(told, Shapes) == Shapes("tear", 2, True, 1.5, "n", [[0.0, 1.0]])
    assert given(made, {"label_kind": ""}) == {}
    with pytest.raises(UsageError, match="Width is no number"):
        given(made, {"label_width": "wide"})


def test_a_form_that_is_none_is_refused_in_words(person: Callable[..., Any]) -> None:
    ann = person("ann", CARETAKER)
    for part in ("rule", "renew", "release", "undo"):
        answer = ann(part, case="d-1")
        assert answer.status_code in (422, 503), part
        assert "notice" in answer.text
