"""Who sees pages and who saves: the tokens of the API, in a cookie; and nothing is changed for another site."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from headgate.access import tokens
from headgate.domains.capacity.companions.calendar import read_calendar
from headgate.domains.capacity.model.forecaster import Forecaster
from headgate.settings import Settings

from ..serving import real
from .conftest import CAPACITY, MOVED, ORIGIN, SALE

SAVE = "/console/capacity/forecast"


@pytest.fixture
def token(here: Settings) -> Callable[..., str]:
    """Makes a token with the scopes that are named."""
    return lambda *scopes: tokens.add(here.tokens_file, "-".join(scopes), scopes)


def log_in(client: Any, token: str, to: str = "/console/", **headers: str) -> Any:
    sent = ORIGIN | headers
    return client.post("/console/login", data={"token": token, "to": to}, headers=sent, follow_redirects=False)


def revisions(here: Settings) -> int:
    assert here.calendar
    return len([row for row in read_calendar(Path(here.calendar)) if row.event == SALE])


@pytest.mark.parametrize(
    "path", ["/console/", "/console/capacity/forecast", "/console/capacity/live", "/console/capacity/verdicts/1"]
)
def test_without_a_token_every_page_leads_to_the_login_and_back(token: Any, app: Any, browse: Any, path: str) -> None:
    known = token("read")
    client = browse(app, follow_redirects=False)
    refused = client.get(path, params={"step": "1h"})
    assert refused.status_code == 303
    page = client.get(refused.headers["location"])
    assert page.status_code == 200
    assert "capacity" not in page.text.replace("/console/capacity", "")
    entered = log_in(client, known, path)
    assert (entered.status_code, entered.headers["location"]) == (303, path)
    assert client.get(path, headers=ORIGIN).status_code in (200, 422)


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(token: Any, app: Any, browse: Any) -> None:
    known = token("read")
    said = log_in(browse(app), known).headers["set-cookie"]
    assert "HttpOnly" in said
    assert "SameSite=strict" in said
    assert "Path=/console" in said
    assert "Secure" not in said
    over_tls = log_in(browse(app), known, origin="https://127.0.0.1").headers["set-cookie"]
    assert "Secure" in over_tls


def test_a_token_that_was_removed_opens_nothing_any_more_though_it_was_the_last(
    token: Any, app: Any, browse: Any, here: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = browse(app, follow_redirects=False)
    log_in(client, token("read"))
    assert client.get("/console/").status_code == 200
    tokens.remove(here.tokens_file, "read")
    monkeypatch.setattr(tokens, "LOOK_SECONDS", 0.0)
    assert client.get("/console/").status_code == 303


@pytest.mark.parametrize("scopes", [("decide",), ("operate",)])
def test_a_token_without_the_scope_to_read_does_not_enter(token: Any, app: Any, browse: Any, scopes: Any) -> None:
    client = browse(app)
    refused = log_in(client, token(*scopes))
    assert refused.status_code == 401
    assert "lacks the scope" in refused.text
    assert "set-cookie" not in refused.headers


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
    for path, sent in ((SAVE, MOVED), ("/console/logout", {}), ("/console/login", {"token": "hg_x"})):
        refused = client.post(path, data=sent, headers=origin)
        assert refused.status_code == 403
        assert "did not come from a page of this console" in refused.text
    assert revisions(here) == 1


def test_a_name_that_leads_here_by_a_trick_changes_nothing(app: Any, browse: Any, here: Settings) -> None:
    sent = {"host": "evil.example", "origin": "http://evil.example"}
    assert browse(app).post(SAVE, data=MOVED, headers=sent).status_code == 403
    assert revisions(here) == 1


def test_after_logging_out_the_pages_are_closed(token: Any, app: Any, browse: Any) -> None:
    client = browse(app, follow_redirects=False)
    log_in(client, token("read"))
    assert client.post("/console/logout", headers=ORIGIN).status_code == 303
    assert client.get("/console/").status_code == 303


@pytest.mark.parametrize("to", ["https://evil.example/", "//evil.example", "/docs", "/console/\\evil", "/console/\n"])
def test_the_login_leads_to_pages_of_the_console_alone(token: Any, app: Any, browse: Any, to: str) -> None:
    assert log_in(browse(app), token("read"), to).headers["location"] == "/console/"


def test_where_the_login_leads_is_text_and_never_markup(token: Any, app: Any, browse: Any) -> None:
    token("read")
    page = browse(app).get("/console/login", params={"to": '/console/"><b>'})
    assert '"><b>' not in page.text


def test_a_part_of_a_page_leads_the_whole_page_to_the_login(token: Any, app: Any, browse: Any) -> None:
    token("read")
    asked = {"hx-request": "true", "hx-current-url": "http://127.0.0.1/console/capacity/live?step=1h"}
    refused = browse(app).get("/console/capacity/live/now", headers=asked)
    assert refused.status_code == 401
    assert refused.headers["hx-redirect"] == "/console/login?to=%2Fconsole%2Fcapacity%2Flive%3Fstep%3D1h"


def test_a_program_shows_its_token_as_to_the_api(token: Any, app: Any, browse: Any) -> None:
    shown = {"authorization": f"Bearer {token('read')}"}
    assert browse(app).get("/console/", headers=shown).status_code == 200


def test_more_pages_than_the_rate_allows_wait(here: Settings, forecaster: Forecaster, browse: Any) -> None:
    with real.real_app(replace(here, rate=1.0), CAPACITY, forecaster) as app:
        client = browse(app)
        statuses = [client.get("/console/nowhere").status_code for _ in range(3)]
        statuses += [client.get("/console/capacity/orders").status_code for _ in range(4)]
    assert statuses[:3] == [404] * 3
    assert 429 in statuses


def test_the_api_keeps_its_own_doors(token: Any, app: Any, browse: Any) -> None:
    client = browse(app)
    log_in(client, token("read"))
    for path in ("/v1/models", "/consoles", "/docs"):
        assert client.get(path).status_code == 401
