"""The README's story without a setting, in a real browser: a sale is dragged and saved; the other pages follow."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from urllib.parse import urlencode

import httpx
import pytest

from headgate.contract.demonstration import Play
from headgate.domains.capacity.companions.calendar import read_calendar
from headgate.domains.capacity.demonstration import orders
from headgate.domains.capacity.demonstration import traffic as live_load
from headgate.domains.capacity.demonstration.calendar import put_in_force
from headgate.domains.capacity.demonstration.orders import plan_orders
from headgate.domains.capacity.model.forecaster import Forecaster
from headgate.domains.capacity.simulated.sizes import LoadSizes
from headgate.registry import versions
from headgate.registry.ledger import Entry, Ledger
from headgate.registry.versions import Version
from headgate.settings import Settings

from ....console.browsers import SIZES, Visit, chromium, served
from ....serving import real
from .conftest import CAPACITY, HOME, SALE, WINDOW
from .dragging import drag_two_days

AS_OF = datetime(2026, 2, 16, tzinfo=UTC)

#: Two services of one region, as `load_source` has them.
SIZES_PLAYED = LoadSizes(days=42, regions=1, services=2, step=900)


@pytest.fixture
def play(here: Settings, load_source: Path) -> Play:
    made = Play(here.home / "demo" / "capacity", SIZES_PLAYED, "calm", AS_OF.date(), AS_OF, seed=5)
    shutil.copytree(load_source, made.source)
    return made


@pytest.fixture
def first(here: Settings, play: Play, load_work: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The state as `make run` leaves it, with version 1 as champion; no setting names a calendar."""
    settings = replace(here, calendar=None)
    put_in_force(settings, play, None)
    monkeypatch.setattr(orders, "SECONDS", 2.0)
    bundle = "b" * 64
    champion = Version("capacity", 1, bundle, "run", "", ("champion",), "", {}, 0, 0)
    monkeypatch.setattr(versions, "wanted", lambda settings, domain, name: champion)
    monkeypatch.setattr(versions, "fetch", lambda version, settings: load_work / "bundle")
    ledger = Ledger(settings)
    ledger.append(Entry("capacity", "verdict", "the flow", to_version=1, bundle=bundle, ruling="passed"))
    ledger.append(Entry("capacity", "changed", "the flow", to_version=1, bundle=bundle))
    return settings


@pytest.fixture(params=["desk", pytest.param("phone", marks=pytest.mark.nightly)])
def visit(request: pytest.FixtureRequest, first: Settings, forecaster: Forecaster) -> Iterator[Visit]:
    with chromium() as browser, real.real_app(first, CAPACITY, forecaster) as app, served(app) as address:
        context = browser.new_context(**SIZES[request.param], locale="en-GB", reduced_motion="reduce")
        context.set_default_timeout(15_000)
        visitor = Visit(context.new_page(), address, request.param)
        yield visitor
        context.close()
        assert not visitor.wrong, "\n".join(visitor.wrong)


def stale(visit: Visit) -> int:
    visit.to("/console/capacity/orders")
    visit.drawn()
    return int(visit.page.get_by_text("Plan again.").count())


def came(visit: Visit, settings: Settings, play: Play, at: datetime) -> float:
    """Tell the endpoint what came of a day up to an instant, as `make run` does; the sum that it was told of HOME."""
    total = 0.0
    for call in islice(live_load.traffic(settings, play, at.timestamp), 2):
        answer = httpx.post(visit.address + call.path, content=call.body, trust_env=False)
        assert answer.status_code == 200, answer.text
        total += sum(answer.json()["forecast"]) if answer.json()["series"] == HOME else 0.0
    return total


def test_a_sale_is_dragged_and_saved_and_all_pages_follow(visit: Visit, first: Settings, play: Play) -> None:
    page = visit.page
    assert "orders are planned" in plan_orders(first, play)
    assert plan_orders(first, play) == "", "what is planned by both already is not planned again"
    assert stale(visit) == 0
    visit.to(f"/console/capacity/forecast?{urlencode(WINDOW)}")
    visit.drawn()
    drag_two_days(visit.page, SALE)
    page.locator("#outcome thead").get_by_text("supposed").wait_for()
    page.get_by_label("Reason").fill("The supplier is late.")
    page.get_by_role("button", name="Save to the calendar").click()
    page.get_by_text("revision 2").wait_for()
    last = [event for event in read_calendar(play.source) if event.event == SALE][-1]
    assert (last.start, last.end, last.reason) == ("2026-02-23", "2026-02-24", "The supplier is late.")
    page.get_by_role("link", name="Orders").first.click()
    assert page.get_by_text("Plan again.").count() == 1
    asked = {"series": HOME, "from": "2026-02-23T00:00", "to": "2026-02-24T00:00", "step": "15min"}
    came(visit, first, play, datetime(2026, 2, 23, 12, tzinfo=UTC))
    visit.to(f"/console/capacity/live?{urlencode(asked)}")
    visit.drawn()
    told = page.locator("#now").inner_text()
    assert "Flash sale" in told, "the event is where it was dragged to"
    ratio = float(told.split(" times the forecast")[0].rsplit(maxsplit=1)[-1])
    assert 0.7 < ratio < 1.4, "what comes follows the calendar too"
    assert "orders are planned" in plan_orders(first, play)
    assert stale(visit) == 0
    assert page.get_by_text("The calendar is another.").count() == 1


def test_every_page_is_found_by_the_navigation_and_fits(visit: Visit, first: Settings, play: Play) -> None:
    plan_orders(first, play)
    page = visit.page
    visit.to("/console/")
    visit.picture("state")
    page.get_by_role("navigation", name="Domains").get_by_role("link", name="capacity").click()
    names = page.get_by_role("navigation", name="Pages of capacity").get_by_role("link").all_inner_texts()
    assert names == ["Forecast", "Live", "Orders"]
    for name in names:
        page.get_by_role("navigation", name="Pages of capacity").get_by_role("link", name=name).click()
        page.get_by_role("heading", level=1, name=name).wait_for()
        visit.drawn()
        visit.fits()
        current = page.get_by_role("navigation", name="Pages of capacity").locator("[aria-current=page]")
        assert current.inner_text() == name


def test_the_state_looks_again_by_itself_and_keeps_the_focus(visit: Visit) -> None:
    page = visit.page
    visit.to(f"/console/capacity/forecast?{urlencode(WINDOW)}")  # the calendar is read
    visit.to("/console/")
    assert "none in 60 minutes" in page.locator("#now").inner_text()
    page.get_by_text("Ledger of capacity").click()  # it is open at first
    page.locator("#capacity-verdict").focus()
    window = {"series": HOME, "from": "2026-02-20", "to": "2026-02-21"}
    httpx.get(f"{visit.address}/v1/capacity/forecast", params=window, trust_env=False).raise_for_status()
    page.get_by_text("1 in 60 minutes").wait_for()
    assert page.evaluate("document.activeElement.id") == "capacity-verdict"
    assert page.locator("#now + section details").first.get_attribute("open") is None, "what was folded stays so"
