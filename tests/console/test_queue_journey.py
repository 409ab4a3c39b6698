"""The queue as people work it: two at once, by keyboard alone, at a desk and at a phone's width; and by touch."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from headgate.access import tokens
from headgate.decisions.reviews import trail
from headgate.decisions.reviews.cases import open_case, open_cases
from headgate.decisions.reviews.claims import Reader, claim, release
from headgate.decisions.reviews.verify import verify
from headgate.domain import Domain, known_scopes
from headgate.settings import Settings

from ..rooms import make_bundle
from ..serving import real
from ..toy import Rooms
from ..toy_reviews import CARETAKER, RULED, room_case
from .browsers import SIZES, Visit, chromium, served

QUEUE = "/console/rooms/queue"
KEYS = {"f": "fine", "c": "cold", "h": "hot"}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as found:
        yield found


class Person:
    """Somebody before the queue, with a keyboard."""

    def __init__(self, visit: Visit, name: str) -> None:
        self.visit, self.page, self.name = visit, visit.page, name

    @property
    def case(self) -> str:
        return str(self.page.locator("#case .queue-case").get_attribute("data-case"))

    def sees(self, selector: str, text: str | re.Pattern[str]) -> None:
        from playwright.sync_api import expect

        expect(self.page.locator(selector)).to_contain_text(text)

    def presses(self, key: str) -> None:
        self.page.keyboard.press(key)

    def rules(self, key: str) -> str:
        """Rule by a key, and wait for what the server says; the case that was ruled on."""
        from playwright.sync_api import expect

        case = self.case
        self.presses(key)
        expect(self.page.locator(f'#case [data-case="{case}"]')).to_have_count(0)
        expect(self.page.locator("#case")).to_have_attribute("aria-busy", "false")
        return case


@pytest.fixture
def queue(browser: Any, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """The queue of a domain at an address, and people before it to whom nothing may be wrong in the end."""
    here, visits, open_apps = real.settings(tmp_path / "state"), [], []

    def start(domain: Domain = RULED) -> tuple[Settings, Callable[..., Person]]:
        scopes = [CARETAKER, "read"]
        known = {name: tokens.add(here.tokens_file, name, scopes, known_scopes([domain])) for name in ("ann", "ben")}
        app = real.real_app(here, domain, Rooms(make_bundle(tmp_path, "tiny")))
        serving = served(app.__enter__())
        address = serving.__enter__()
        open_apps.extend([serving, app])

        def person(name: str, size: str, **more: Any) -> Person:
            token = known[name]
            context = browser.new_context(**SIZES[size], locale="en-GB", reduced_motion="reduce", **more)
            context.set_default_timeout(15_000)
            context.add_cookies([{"name": "headgate_token", "value": token, "url": f"{address}/console"}])
            visit = Visit(context.new_page(), address, size)
            visits.append(visit)
            visit.to(QUEUE)
            return Person(visit, name)

        return here, person

    yield start
    for visit in visits:
        visit.page.context.close()
    for one in open_apps:
        one.__exit__(None, None, None)
    wrong = [words for visit in visits for words in visit.wrong]
    assert not wrong, "\n".join(wrong)


def rooms(number: int) -> list[Any]:
    """Cases that differ, the most urgent first."""
    names = ("Attic", "Cellar", "East hall", "Reading room", "Gallery", "Workshop")
    made = []
    for one in range(number):
        off = (-1 if one % 3 else 1) * (9 - one * 0.2)
        made.append(room_case(f"d-{one:02d}", f"{names[one % 6]} {one // 6 + 1}", 20 + off, 20.0, kind="room"))
    return made


@pytest.mark.parametrize("size", list(SIZES))
def test_two_people_work_thirty_cases_by_keyboard_and_never_the_same(queue: Callable[..., Any], size: str) -> None:
    here, person = queue()
    open_cases(here, RULED, rooms(30))
    ann = person("ann", size)
    ann.sees("#case", "Room Attic 1")
    assert ann.page.evaluate("document.activeElement.id") == "subject"
    ben = person("ben", size)
    ben.sees("#case", "Room East hall 1")  # the two before are ann's: the card, and the next one
    ann.sees('[data-open="d-02"]', "ben")  # within a second, and without a touch
    ann.visit.picture("queue")
    done: dict[str, str] = {}
    for number in range(14):
        for one in (ann, ben):
            key = "fch"[number % 3]
            done[one.rules(key)] = one.name
    ann.sees("#said", "Next: ")
    ann.sees("#toast", "Undo")
    ann.sees("#beside [aria-current]", "open")
    ann.visit.picture("queue_undo")
    back = list(done)[-2]
    ann.presses("u")
    ann.sees("#case", next(case.title for case in rooms(30) if case.key == back))
    ann.sees("#said", "taken back, and yours again")
    ann.presses("1")
    ann.presses("r")
    ann.page.keyboard.type("The window stood open: fetch a fan.")  # keys within a field rule nothing
    ann.presses("Escape")
    assert ann.rules("c") == back
    while (left := ann.page.locator("#case .queue-case").count() + ben.page.locator("#case .queue-case").count()) > 0:
        one = ann if ann.page.locator("#case .queue-case").count() else ben
        done[one.rules("h")] = one.name
        assert left < 3
    ann.sees("#case", "Nothing waits")
    ann.sees("#beside", "Nothing waits")
    assert sorted(done) == [case.key for case in rooms(30)]
    events = trail.events(here, "rooms")
    undone = {event.details["ruling"] for event in events if event.what == "undone"}
    ruled = {event.key: event for event in events if event.what == "ruled" and event.seq not in undone}
    assert {key: event.who for key, event in ruled.items()} == done
    assert sum(event.what == "ruled" for event in events) == 31
    assert ruled[back].details["why"] == "The window stood open: fetch a fan."
    assert ruled[back].details["labels"]["cause"] == "window"
    verify(here, "rooms")


def test_a_new_case_is_shown_by_itself_to_who_waits(queue: Callable[..., Any]) -> None:
    here, person = queue()
    ann = person("ann", "desk")
    ann.sees("#case", "Nothing waits")
    ann.visit.picture("queue_empty")
    open_case(here, RULED, room_case("d-1", "Attic"))
    ann.sees("#case", "Room Attic")
    assert ann.case == "d-1"


def test_who_opens_what_another_has_learns_so_and_moves_by_keys(queue: Callable[..., Any]) -> None:
    here, person = queue()
    open_cases(here, RULED, rooms(6))
    ann = person("ann", "desk")
    ann.sees("#case", "Room Attic 1")
    ann.sees('[data-open="d-01"]', "next")
    ben = person("ben", "desk")
    ben.sees('[data-open="d-00"]', "ann")
    ben.sees("#case", "Room East hall 1")
    for key in ("k", "k"):
        ben.presses(key)
    assert ben.page.evaluate("document.activeElement.dataset.open") == "d-00"
    ben.presses("Enter")
    ben.sees("#trouble", re.compile(r"ann has this case until \d\d:\d\d:\d\d UTC"))
    assert not ben.page.locator("#again").is_visible()  # the case that is open is still ben's
    ben.visit.picture("queue_taken")
    for key in ("ArrowDown", "j", "j", "j", "j"):
        ben.presses(key)
    ben.presses("Enter")
    ben.sees("#case", "Room Workshop 1")
    ben.presses("?")
    ben.sees("#keys", "take the last ruling back")
    ben.visit.picture("queue_keys")
    ben.presses("Escape")
    ben.presses("s")
    ben.sees("#said", "Skipped")
    assert ben.case != "d-05"


def test_a_lost_claim_is_said_and_nothing_is_lost_of_what_was_typed(queue: Callable[..., Any]) -> None:
    here, person = queue()
    open_case(here, RULED, room_case("d-1", "Attic"))
    ann = person("ann", "desk")
    ann.sees("#case", "Room Attic")
    ann.presses("1")
    ann.presses("r")
    ann.page.keyboard.type("A long story")
    mine = claim(here, RULED, Reader("ann"))  # in another window, which gives it back, and ben takes it
    assert mine is not None
    release(here, RULED, Reader("ann"), "d-1", mine.token)
    theirs = claim(here, RULED, Reader("ben"))
    assert theirs is not None
    ann.presses("Escape")
    ann.presses("c")
    ann.sees("#trouble", "ben has this case until")
    ann.sees("#trouble", "What you wrote is still here.")
    assert ann.page.locator("[name=why]").input_value() == "A long story"
    ann.sees('[data-open="d-1"]', "ben")
    ann.visit.picture("queue_lost")
    release(here, RULED, Reader("ben"), "d-1", theirs.token)
    ann.page.locator("#again").focus()
    ann.presses("Enter")
    ann.sees("#said", "It is yours again.")
    assert ann.page.locator("[name=why]").input_value() == "A long story"
    ann.rules("c")
    event = trail.events(here, "rooms")[-1]
    assert (event.who, event.details["why"], event.details["labels"]["cause"]) == ("ann", "A long story", "window")


def test_by_touch_on_a_phone(queue: Callable[..., Any]) -> None:
    here, person = queue()
    open_cases(here, RULED, rooms(3))
    ann = person("ann", "phone", color_scheme="dark")
    ann.sees("#case", "Room Attic 1")
    buttons = ann.page.locator(".queue-outcomes button")
    for box in (one.bounding_box() for one in buttons.all()):
        assert box["height"] >= 44
        assert box["y"] + box["height"] <= 844  # in reach without scrolling
    ann.page.locator(".queue-choice label").first.tap()
    ann.visit.picture("queue_touch")
    ann.page.locator("[data-key=c]").tap()
    ann.sees("#case", "Room Cellar 1")
    ann.page.locator("#undo").tap()
    ann.sees("#case", "Room Attic 1")
    assert [event.what for event in trail.events(here, "rooms")][-2:] == ["ruled", "undone"]


def test_a_page_that_is_left_gives_its_claims_back(queue: Callable[..., Any]) -> None:
    here, person = queue()
    open_cases(here, RULED, rooms(2))
    ann = person("ann", "desk")
    ann.sees('[data-open="d-01"]', "next")
    ben = person("ben", "desk")
    ben.sees("#case", "All taken")
    ann.visit.to("/console/login")
    ben.sees("#case", "Room Attic 1")


def test_while_the_server_is_out_of_reach_nothing_is_lost_and_the_page_says_so(queue: Callable[..., Any]) -> None:
    here, person = queue()
    open_case(here, RULED, room_case("d-1", "Attic"))
    ann = person("ann", "desk")
    ann.sees("#case", "Room Attic")
    ann.visit.away()
    ann.presses("c")
    ann.sees("#trouble", "The server cannot be reached.")
    ann.sees("#away", "who has which case is not known now")
    ann.page.context.set_offline(False)
    ann.rules("c")
    assert [event.what for event in trail.events(here, "rooms")] == ["opened", "ruled"]
