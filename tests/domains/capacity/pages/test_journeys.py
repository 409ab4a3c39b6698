"""What people come for, in a real browser, at a desk and on a phone."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import numpy as np
import pytest

from headgate.access import tokens
from headgate.domains.capacity.companions.calendar import read_calendar
from headgate.domains.capacity.model.forecaster import Forecaster
from headgate.domains.capacity.pages import live
from headgate.settings import Settings

from ....console.browsers import SIZES, Visit, chromium, served
from ....serving import real
from .conftest import CAPACITY, HOME, SALE, WINDOW
from .dragging import drag_two_days

FORECAST = f"/console/capacity/forecast?{urlencode(WINDOW)}"

#: CI looks at these at a desk.
DESK_AND_BY_NIGHT_PHONE = ["desk", pytest.param("phone", marks=pytest.mark.nightly)]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as found:
        yield found


@pytest.fixture(params=DESK_AND_BY_NIGHT_PHONE)
def visit(request: pytest.FixtureRequest, browser: Any, history: Settings, forecaster: Forecaster) -> Iterator[Visit]:
    """A visitor of the console, to whom nothing may be wrong in the end."""
    with real.real_app(history, CAPACITY, forecaster) as app, served(app) as address:
        context = browser.new_context(**SIZES[request.param], locale="en-GB", reduced_motion="reduce")
        context.set_default_timeout(15_000)
        visitor = Visit(context.new_page(), address, request.param)
        yield visitor
        context.close()
        assert not visitor.wrong, "\n".join(visitor.wrong)


def numbers(visit: Visit) -> list[str]:
    return visit.page.locator("#outcome table tbody td").all_inner_texts()


def focused(visit: Visit, what: str) -> str:
    """A property of the element that has the focus."""
    return str(visit.page.evaluate(f"document.activeElement.{what}"))


@pytest.mark.parametrize("visit", list(SIZES), indirect=True)
def test_a_planner_moves_a_sale_and_saves_it(visit: Visit, history: Settings) -> None:
    page = visit.page
    visit.to(FORECAST)
    visit.drawn()
    assert "as planned" not in page.locator("#outcome thead").inner_text()
    visit.picture("forecast")
    drag_two_days(page, SALE)
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
    assert (last.start, last.end, last.reason, last.revision) == (
        "2026-02-23",
        "2026-02-25",
        "The supplier is <late>.",
        2,
    )


@pytest.mark.parametrize("visit", ["desk"], indirect=True)
def test_a_planner_stretches_a_sale_by_keyboard_alone(visit: Visit, history: Settings) -> None:
    page = visit.page
    visit.to(FORECAST)
    visit.drawn()
    page.keyboard.press("Tab")
    assert focused(visit, "textContent") == "Skip to the page"
    for _ in range(40):
        page.keyboard.press("Tab")
        if focused(visit, "ariaLabel") == "End of Flash sale":
            break
    page.keyboard.press("PageUp")
    page.keyboard.press("ArrowLeft")
    page.locator("#outcome").get_by_text("to Sun 22 Feb 23:00").wait_for()
    page.keyboard.press("Escape")
    page.locator("#outcome").get_by_text("supposed").first.wait_for(state="detached")
    page.keyboard.press("PageUp")
    page.locator("#outcome").get_by_text("to Mon 23 Feb 00:00").wait_for()
    for _ in range(40):
        page.keyboard.press("Tab")
        if focused(visit, "name") == "reason":
            break
    page.keyboard.press("Enter")
    page.get_by_text("Say why").wait_for()
    page.keyboard.type("Two days this year.")
    page.keyboard.press("Enter")
    page.get_by_text("revision 2").wait_for()
    assert history.calendar
    last = [event for event in read_calendar(Path(history.calendar)) if event.event == SALE][-1]
    assert (last.start, last.end) == ("2026-02-21", "2026-02-23")


@pytest.mark.parametrize("visit", ["desk"], indirect=True)
def test_the_fields_of_the_form_and_the_range_on_the_chart_agree(visit: Visit) -> None:
    page = visit.page
    visit.to(FORECAST)
    visit.drawn()
    bar = page.locator(f".bar[data-event='{SALE}']")
    x = bar.bounding_box()["x"]
    page.get_by_role("combobox", name="Event").select_option(SALE)
    assert page.get_by_label("Starts").input_value() == "2026-02-21T00:00"
    page.get_by_label("Starts").fill("2026-02-20T00:00")
    page.get_by_label("Starts").blur()
    page.locator("#outcome").get_by_text("Fri 20 Feb 00:00").wait_for()
    assert bar.bounding_box()["x"] < x - 20
    page.get_by_label("Ends").fill("2026-02-19T00:00")
    page.get_by_label("Ends").blur()
    page.locator("#outcome").get_by_text("lies before the start").wait_for()


def test_an_operator_finds_the_last_refusal_in_two_clicks(visit: Visit) -> None:
    page = visit.page
    visit.to("/console/")
    visit.picture("state")
    page.get_by_role("link", name="Last refusal").click()
    page.get_by_text("WAPE is worse than the champion's by 0.031").wait_for()
    visit.picture("verdict")
    page.get_by_text("Passed").click()
    page.get_by_text("As quick as the champion.").wait_for()


def test_an_event_is_followed_as_it_runs(visit: Visit, forecaster: Forecaster, monkeypatch: pytest.MonkeyPatch) -> None:
    page = visit.page
    monkeypatch.setattr(live, "EVERY", 1)
    monkeypatch.setattr(live, "LATE", timedelta(days=36_500))
    asked = {"series": WINDOW["series"], "from": "2026-02-20T18:00", "to": "2026-02-22T06:00", "step": "15min"}
    said = forecaster.forecast(HOME, datetime(2026, 2, 20, 17, tzinfo=UTC), datetime(2026, 2, 22, 5, tzinfo=UTC))
    wobbly = 1.2 + 0.05 * np.sin(np.arange(len(said.times)) * 2.1)
    values = (said.quantiles[0.5] * wobbly).round().tolist()
    told = {"series": HOME, "from": "2026-02-20T17:00Z", "to": "2026-02-22T05:00Z", "step": "15min"}
    visit.to(f"/console/capacity/live?{urlencode(asked)}")
    page.get_by_text("Nothing of").wait_for()
    httpx.post(f"{visit.address}/v1/capacity/track", json=told | {"values": values[:80]}, trust_env=False)
    page.get_by_text("times the forecast lately").wait_for()
    assert "80 steps came" in page.locator("#now").inner_text()
    visit.picture("live")
    visit.away()
    page.get_by_text("The server cannot be reached.").wait_for()
    assert page.get_by_role("alert").is_visible()


def test_a_planner_reads_the_plan_of_orders(visit: Visit, plan: dict[str, Any]) -> None:
    visit.to("/console/capacity/orders")
    visit.drawn()
    visit.picture("orders")
    assert visit.page.get_by_text("Plan again.").count() == 2


@pytest.mark.parametrize("visit", ["phone"], indirect=True)
def test_a_person_logs_in_and_out(visit: Visit, history: Settings) -> None:
    page = visit.page
    token = tokens.add(history.tokens_file, "ana", ["read"])
    visit.until(lambda: httpx.get(f"{visit.address}/v1/models", trust_env=False).status_code == 401)
    visit.to("/console/capacity/orders")
    visit.picture("login")
    page.get_by_label("Token").fill("hg_wrong")
    page.keyboard.press("Enter")
    page.get_by_text("is not known").wait_for()
    page.get_by_label("Token").fill(token)
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("heading", name="Orders").wait_for()
    page.get_by_role("button", name="Log out").click()
    page.get_by_role("heading", name="Log in").wait_for()


@pytest.mark.nightly
@pytest.mark.parametrize("visit", list(SIZES), indirect=True)
def test_at_night_it_is_dark(visit: Visit) -> None:
    visit.page.emulate_media(color_scheme="dark")
    visit.to(FORECAST)
    visit.drawn()
    visit.picture("dark")
    red, green, blue = visit.page.evaluate(
        "getComputedStyle(document.body).backgroundColor.match(/[0-9]+/g).map(Number)"
    )
    assert max(red, green, blue) < 60
