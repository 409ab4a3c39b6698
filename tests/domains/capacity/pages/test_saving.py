"""Who saves a plan: whose token may operate, under its name, and nobody for another site."""

from pathlib import Path
from typing import Any

import pytest

from headgate.domains.capacity.companions.calendar import read_calendar
from headgate.settings import Settings

from ....console.conftest import ORIGIN, log_in, token
from .conftest import MOVED, SALE

__all__ = ["token"]

SAVE = "/console/capacity/forecast"


def revisions(here: Settings) -> int:
    assert here.calendar
    return len([row for row in read_calendar(Path(here.calendar)) if row.event == SALE])


def test_who_only_reads_sees_the_forecast_and_saves_nothing(token: Any, app: Any, browse: Any, here: Settings) -> None:
    client = browse(app)
    log_in(client, token("read"))
    page = client.get(SAVE)
    assert "saving needs the scope" in page.text
    refused = client.post(SAVE, data=MOVED, headers=ORIGIN)
    assert refused.status_code == 403
    assert "lacks the scope `operate`" in refused.text
    assert revisions(here) == 1


def test_who_operates_saves_under_the_name_of_the_token(token: Any, app: Any, browse: Any, here: Settings) -> None:
    client = browse(app)
    log_in(client, token("read", "operate"))
    assert "revision 2" in client.post(SAVE, data=MOVED, headers=ORIGIN).text
    assert here.calendar
    assert read_calendar(Path(here.calendar))[-1].author == "read-operate"


@pytest.mark.parametrize("origin", [{}, {"origin": "https://evil.example"}, {"origin": "null"}])
def test_what_another_site_sends_changes_nothing(
    token: Any, app: Any, browse: Any, here: Settings, origin: dict[str, str]
) -> None:
    client = browse(app)
    log_in(client, token("read", "operate"))
    refused = client.post(SAVE, data=MOVED, headers=origin)
    assert refused.status_code == 403
    assert "did not come from a page of this console" in refused.text
    assert revisions(here) == 1


def test_a_name_that_leads_here_by_a_trick_changes_nothing(app: Any, browse: Any, here: Settings) -> None:
    sent = {"host": "evil.example", "origin": "http://evil.example"}
    assert browse(app).post(SAVE, data=MOVED, headers=sent).status_code == 403
    assert revisions(here) == 1
