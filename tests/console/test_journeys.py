"""What people come for, in a real browser, at a desk and on a phone."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from headgate.domains.capacity.companions import read_calendar
from headgate.domains.capacity.forecaster import Forecaster
from headgate.settings import Settings

from ..serving import real
from .browsers import SIZES, Visit, chromium, served
from .conftest import SALE, WINDOW

FORECAST = f"/console/capacity/forecast?{urlencode(WINDOW)}"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as found:
        yield found


@pytest.fixture(params=list(SIZES))
def visit(request: pytest.FixtureRequest, browser: Any, history: Settings, forecaster: Forecaster) -> Iterator[Visit]:
    """A visitor of the console, to whom nothing may be wrong in the end."""
    with real.real_app(history, real.CAPACITY, forecaster) as app, served(app) as address:
        context = browser.new_context(**SIZES[request.param], locale="en-GB", reduced_motion="reduce")
        context.set_default_timeout(15_000)
        visitor = Visit(context.new_page(), address, request.param)
        yield visitor
        context.close()
        assert not visitor.wrong, "\n".join(visitor.wrong)


def numbers(visit: Visit) -> list[str]:
    return visit.page.locator("#outcome table tbody td").all_inner_texts()


def test_a_planner_moves_a_sale_and_saves_it(visit: Visit, history: Settings) -> None:
    page = visit.page
    visit.to(FORECAST)
    visit.drawn()
    assert "as planned" not in page.locator("#outcome thead").inner_text()
    visit.picture("forecast")
    bar = page.locator(f".bar[data-event='{SALE}'] .body")
    box = bar.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    day = page.locator(".bars").bounding_box()["width"] / 7
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + day, y, steps=4)
    page.mouse.move(x + 2 * day, y, steps=4)
    page.mouse.up()
    page.locator("#outcome thead").get_by_text("supposed").wait_for()
    assert page.locator("[name=start]").input_value() == "2026-02-23T00:00"
    assert page.locator("[name=end]").input_value() == "2026-02-24T00:00"
    page.get_by_role("slider", name="End of Flash sale").focus()
    page.keyboard.press("PageUp")
    page.locator("#outcome").get_by_text("Wed 25 Feb 00:00").wait_for()
    visit.drawn(3)
    visit.picture("whatif")
    page.get_by_label("Reason").fill("The supplier is <late>.")
    page.get_by_role("button", name="Save to the calendar").click()
    page.get_by_text("revision 2").wait_for()
    visit.drawn()
    visit.picture("saved")
    assert history.calendar
    last = [event for event in read_calendar(Path(history.calendar)) if event.event == SALE][-1]
    assert (last.start, last.end, last.reason, last.revision) == ("2026-02-23", "2026-02-25", "The supplier is <late>.", 2)


def test_an_operator_finds_the_last_refusal_in_two_clicks(visit: Visit) -> None:
    page = visit.page
    visit.to("/console/")
    visit.picture("state")
    page.get_by_role("link", name="Last refusal").click()
    page.get_by_text("WAPE is worse than the champion's by 0.031").wait_for()
    visit.picture("verdict")
