"""Every page of capacity over HTTP: what it shows, and words where it cannot."""

import html
import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from headgate.domains.capacity.companions.calendar import Event, read_calendar
from headgate.domains.capacity.companions.edit import Signature, add
from headgate.domains.capacity.model.forecaster import Forecaster
from headgate.registry.ledger import Entry, Ledger
from headgate.serving import app as serving_app
from headgate.settings import Settings

from ....console.conftest import ORIGIN
from ....serving import real
from .conftest import CAPACITY, HOME, MOVED, SALE, WINDOW, keep


def figure(page: str) -> Any:
    """What the chart of a page draws."""
    found = re.search(r'data-figure="([^"]*)"', page)
    assert found, page
    return json.loads(html.unescape(found[1]))


def test_a_forecast_is_drawn_with_bands_events_and_words(client: Any) -> None:
    page = client.get("/console/capacity/forecast", params=WINDOW)
    assert page.status_code == 200, page.text
    drawn = figure(page.text)
    assert len(drawn["times"]) == 7 * 24
    assert [len(band[0]) for band in drawn["bands"]] == [7 * 24, 7 * 24]
    assert SALE in [one["event"] for one in drawn["ranges"]]
    assert "baseline: the level at its beginning" in page.text


def test_another_time_of_an_event_changes_the_forecast(client: Any) -> None:
    asked = {**WINDOW, "event": SALE, "start": "2026-02-23T00:00", "end": "2026-02-25T00:00"}
    part = client.get("/console/capacity/forecast", params=asked, headers={"hx-request": "true"})
    assert "<html" not in part.text
    planned, supposed = figure(part.text)["lines"]
    on = {time: n for n, time in enumerate(figure(part.text)["times"])}["2026-02-23T20:00"]
    assert supposed["values"][on] > 1.3 * planned["values"][on]
    assert SALE.split("-")[0] in part.text.lower()


def save(client: Any, **other: str) -> Any:
    return client.post("/console/capacity/forecast", data=MOVED | other, headers=ORIGIN | {"hx-request": "true"})


def rows(here: Settings) -> list[Event]:
    assert here.calendar
    return [row for row in read_calendar(Path(here.calendar)) if row.event == SALE]


def test_what_is_saved_is_a_revision_and_the_forecast_follows_it(client: Any, here: Settings) -> None:
    before = figure(client.get("/console/capacity/forecast", params=WINDOW).text)
    saved = save(client)
    assert "revision 2" in saved.text
    assert [(row.start, row.end, row.revision) for row in rows(here)] == [
        ("2026-02-21", "2026-02-22", 1),
        ("2026-02-23", "2026-02-24", 2),
    ]
    after = figure(client.get("/console/capacity/forecast", params=WINDOW).text)
    on = before["times"].index("2026-02-23T20:00")
    assert after["lines"][0]["values"][on] > 1.3 * before["lines"][0]["values"][on]


def test_an_event_is_not_moved_to_where_nobody_plans(client: Any, here: Settings) -> None:
    answer = save(client, start="2199-02-23T00:00", end="2199-02-24T00:00")
    assert (answer.status_code, len(rows(here))) == (422, 1)
    assert "correct its start" in answer.text


def test_a_reason_is_one_line(client: Any, here: Settings) -> None:
    save(client, reason=" The supplier\r\n is late. ")
    assert rows(here)[-1].reason == "The supplier is late."


def test_live_shows_what_is_near_of_an_event_that_lasts(client: Any, here: Settings) -> None:
    start, end = (f"{datetime.now(UTC) + timedelta(days=days):%Y-%m-%d}" for days in (-90, 90))
    add(Path(str(here.calendar)), "long", Signature("ana"), kind="promotion", start=start, end=end)
    page = client.get("/console/capacity/live", params={"series": HOME})
    assert page.status_code == 200, page.text


def test_a_change_upon_an_older_revision_is_refused_in_words(client: Any, here: Settings) -> None:
    save(client)
    refused = save(client, start="2026-02-24T00:00", end="2026-02-25T00:00")
    assert refused.status_code == 422
    assert "meanwhile" in refused.text
    assert "2026-02-23" in refused.text
    assert len(rows(here)) == 2


@pytest.mark.parametrize(
    ("field", "text", "words"),
    [
        ("reason", " ", "Say why"),
        ("end", "2026-02-22T00:00", "lies before the start"),
        ("start", "tomorrow", "is no time"),
        ("intensity", "much", "is no number"),
        ("intensity", "-1", "intensity does not fit"),
        ("intensity", "1e308", "1 is a usual one"),
        ("end", "2036-02-24T00:00", "correct its end"),
        ("start", "1999-02-24T00:00", "correct its end"),
        ("reason", "x" * 501, "at most 500 letters"),
        ("reason", "late\u202e", "of one line"),
        ("seen", "", "not seen the forecast"),
        ("seen", "another@1", "not seen the forecast"),
        ("event", "nothing", "plans no event"),
        ("event", "", "Nothing is changed yet"),
        ("start", "2026-02-21T00:00", ""),
        ("series", "eu/none/requests", "has no series"),
        ("step", "7min", "does not fit"),
    ],
)
def test_what_cannot_be_saved_is_said_and_changes_nothing(
    client: Any, here: Settings, field: str, text: str, words: str
) -> None:
    answer = save(client, **{field: text})
    if words:
        assert answer.status_code == 422
        assert words in html.unescape(answer.text)
        assert len(rows(here)) == 1
    else:  # one end alone is a change too
        assert rows(here)[-1].start == "2026-02-21"


def test_local_events_stay_local_and_instants_instants(client: Any, here: Settings) -> None:
    assert here.calendar
    add(Path(here.calendar), "match", Signature("ana"), kind="sale", start="2026-02-20T18:00Z", end="2026-02-20T20:00Z")
    save(client, event="match", seen="match@1", start="2026-02-21T10:00", end="2026-02-21T12:00")
    last = read_calendar(Path(here.calendar))[-1]
    assert (last.start, last.end) == ("2026-02-21T09:00:00+00:00", "2026-02-21T11:00:00+00:00")


def test_names_and_reasons_are_text_and_never_markup(client: Any, here: Settings, history: Settings) -> None:
    evil = "<img src=x onerror=alert(1)>\"'</script>"
    assert here.calendar
    sale = {"kind": "sale", "start": "2026-02-20", "end": "2026-02-21"}
    add(Path(here.calendar), "evil", Signature("ana"), name=evil, **sale)
    Ledger(here).append(Entry("capacity", "alert", "<b>bob</b>", evil))
    moved = {"event": "evil", "seen": "evil@1", "reason": evil}
    pages = [
        client.get("/console/"),
        client.get("/console/capacity/forecast", params=WINDOW | {"event": "evil", "start": "2026-02-22"}),
        save(client, **moved),
        client.get("/console/capacity/live", params=WINDOW),
        client.get("/console/capacity/forecast", params=WINDOW | {"series": evil}),
    ]
    assert sum("onerror" in page.text for page in pages) >= 4
    for page in pages:
        assert "<img src=x" not in page.text
        assert "</script>\"'" not in page.text
        assert "<b>bob" not in page.text


def test_without_a_calendar_the_version_s_own_is_shown_and_nothing_is_saved(
    here: Settings, forecaster: Forecaster, browse: Any
) -> None:
    with real.real_app(replace(here, calendar=None), CAPACITY, forecaster) as app:
        client = browse(app)
        page = client.get("/console/capacity/forecast", params=WINDOW)
        assert forecaster.companion() in page.text
        assert "HEADGATE_CALENDAR" in page.text
        assert "HEADGATE_CALENDAR" in save(client).text
    assert len(rows(here)) == 1


def test_a_calendar_that_is_not_there_is_said(here: Settings, forecaster: Forecaster, browse: Any) -> None:
    with real.real_app(replace(here, calendar="nowhere"), CAPACITY, forecaster) as app:
        page = browse(app).get("/console/capacity/forecast")
        assert page.status_code == 422
        assert "check HEADGATE_CALENDAR" in page.text


@pytest.mark.parametrize("step", ["15min", "1h", "1d"])
def test_a_total_and_every_step_are_drawn(client: Any, step: str) -> None:
    page = client.get("/console/capacity/forecast", params=WINDOW | {"series": "eu-central/*/requests", "step": step})
    assert page.status_code == 200
    assert "is a total" in page.text
    assert SALE in [one["event"] for one in figure(page.text)["ranges"]]


def test_without_fields_a_page_shows_what_lies_ahead(client: Any) -> None:
    for path in ("/console/capacity/forecast", "/console/capacity/live"):
        assert client.get(path).status_code == 200


def test_more_steps_than_a_chart_shows_are_refused(client: Any) -> None:
    page = client.get("/console/capacity/forecast", params=WINDOW | {"to": "2026-07-01", "step": "15min"})
    assert page.status_code == 422
    assert "choose a larger step" in page.text


def test_before_the_first_version_pages_say_so(here: Settings, browse: Any) -> None:
    with mock.patch.object(serving_app, "Follower"):
        page = browse(serving_app.build([CAPACITY], here)).get("/console/capacity/forecast")
    assert (page.status_code, "No version is loaded yet" in page.text) == (422, True)


def test_live_shows_what_came_beside_what_is_expected(client: Any) -> None:
    asked = WINDOW | {"step": "15min", "from": "2026-02-21T00:00", "to": "2026-02-22T00:00"}
    assert "Nothing of" in client.get("/console/capacity/live", params=asked).text
    forecast = figure(client.get("/console/capacity/forecast", params=asked).text)["lines"][0]["values"]
    came = [1.5 * value for value in forecast[:40]]
    told = {"series": asked["series"], "from": "2026-02-20T23:00Z", "to": "2026-02-21T23:00Z", "step": "15min"}
    assert client.post("/v1/capacity/track", json=told | {"values": came}).status_code == 200
    part = client.get("/console/capacity/live/now", params=asked)
    told_, expected, actual = (line["values"] for line in figure(part.text)["lines"])
    assert actual[:40] == pytest.approx(came, rel=1e-3)
    assert actual[41] is None
    assert expected[60] > 1.25 * told_[60]
    assert part.status_code == 286, "the window is over: nobody asks again"
    coarse = client.get("/console/capacity/live/now", params=asked | {"step": "1h"})
    assert "told in other steps" in coarse.text
    hours = figure(coarse.text)["lines"][2]["values"]
    assert hours[:10] == pytest.approx([sum(came[4 * n : 4 * n + 4]) for n in range(10)], rel=1e-3)
    assert set(hours[10:]) == {None}, "an hour that is not over has no sum"


def test_pages_ask_nothing_of_other_hosts(client: Any) -> None:
    for path in ("/console/", "/console/capacity/forecast", "/console/capacity/live", "/console/capacity/orders"):
        page = client.get(path).text
        assert not re.search(r'(?:src|href|action)="(?!/console/|/docs)', page.replace('href="#main"', ""))
        assert "<script>" not in page
        assert " onclick=" not in page


def test_pages_say_what_is_missing_without_javascript(client: Any) -> None:
    assert "Without JavaScript there are no charts" in client.get("/console/capacity").text


def test_without_a_plan_of_orders_the_page_says_how_one_is_made(client: Any, here: Settings) -> None:
    page = client.get("/console/capacity/orders").text
    assert "headgate capacity orders plan --fleet fleet.yaml" in page


def test_a_plan_of_orders_is_shown_with_what_is_another_by_now(client: Any, plan: dict[str, Any]) -> None:
    page = html.unescape(client.get("/console/capacity/orders").text)
    for words in (
        "48,210 USD",
        *plan["changed"],
        plan["prices"][0]["words"],
        "reserved for 13 weeks",
        "size of home-a",
    ):
        assert words in page
    assert "made by version 7, and version 1 decides now" in page
    assert "made for calendar 0123456789ab" in page
    assert figure(client.get("/console/capacity/orders").text)["lines"][0]["values"][0] == 460


def test_orders_are_listed_reservations_first_and_groups_that_are_emptied_last(
    client: Any, here: Settings, plan: dict[str, Any]
) -> None:
    emptied = plan["orders"][-1] | {"line": "00006", "count": 0, "group": "home-emptied"}
    plan["orders"] = [emptied, *reversed(plan["orders"])]
    keep(here, plan)
    page = client.get("/console/capacity/orders").text
    at = [page.index(words) for words in ("reserved for 13 weeks", "size of home-a", "size of home-emptied")]
    assert at == sorted(at)
    assert page.rindex("reserved for 13 weeks") < at[1]


def test_saving_an_event_says_that_the_plan_is_of_another_calendar(
    client: Any, here: Settings, plan: dict[str, Any]
) -> None:
    shown = re.search(r"Calendar <code>(\w+)</code>", client.get("/console/capacity/forecast", params=WINDOW).text)
    assert shown
    plan["forecast"] |= {"calendar": shown[1], "version": 1}
    keep(here, plan)
    assert "Plan again" not in client.get("/console/capacity/orders").text
    save(client)
    assert "events have changed" in client.get("/console/capacity/orders").text


def test_a_broken_calendar_does_not_hide_the_plan(client: Any, here: Settings, plan: dict[str, Any]) -> None:
    Path(str(here.calendar), "calendar.csv").write_text("no calendar\n")
    page = html.unescape(client.get("/console/capacity/orders").text)
    assert "Mend the calendar" in page
    assert "Cost:" in page


def test_a_file_that_is_no_plan_is_said(client: Any, here: Settings, plan: dict[str, Any]) -> None:
    (here.home / "orders" / "plan.json").write_text("{}")
    page = client.get("/console/capacity/orders")
    assert page.status_code == 422
    assert "is no plan of orders" in page.text
