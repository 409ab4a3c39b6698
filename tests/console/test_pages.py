"""Every page over HTTP: what it shows, and words where it cannot."""

import html
import json
import re
from typing import Any

from .conftest import SALE, WINDOW


def figure(page: str) -> Any:
    """What the chart of a page draws."""
    return json.loads(html.unescape(re.search(r'data-figure="([^"]*)"', page)[1]))


def test_the_first_page_tells_the_state_of_every_domain(client: Any) -> None:
    page = client.get("/console/")
    assert page.status_code == 200
    assert "Nothing happened yet" in page.text
    assert "default-src 'self'" in page.headers["content-security-policy"]


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
