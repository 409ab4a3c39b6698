"""Who sees pages: the tokens of the API, in a cookie; and nothing is done for another site."""

from dataclasses import replace
from typing import Any

import pytest

from headgate.access import tokens
from headgate.settings import Settings

from ..serving import real
from ..toy import ROOMS
from .conftest import ORIGIN, log_in


@pytest.mark.parametrize("path", ["/console/", "/console/rooms/last-run", "/console/rooms/verdicts/1"])
def test_without_a_token_every_page_leads_to_the_login_and_back(token: Any, app: Any, browse: Any, path: str) -> None:
    known = token("read")
    client = browse(app, follow_redirects=False)
    refused = client.get(path, params={"step": "1h"})
    assert refused.status_code == 303
    page = client.get(refused.headers["location"])
    assert page.status_code == 200
    assert "rooms" not in page.text.replace("/console/rooms", "")
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
    asked = {"hx-request": "true", "hx-current-url": "http://127.0.0.1/console/rooms/last-run?step=1h"}
    refused = browse(app).get("/console/rooms/verdicts/1", headers=asked)
    assert refused.status_code == 401
    assert refused.headers["hx-redirect"] == "/console/login?to=%2Fconsole%2Frooms%2Flast-run%3Fstep%3D1h"


def test_a_program_shows_its_token_as_to_the_api(token: Any, app: Any, browse: Any) -> None:
    shown = {"authorization": f"Bearer {token('read')}"}
    assert browse(app).get("/console/", headers=shown).status_code == 200


def test_more_pages_than_the_rate_allows_wait(here: Settings, browse: Any) -> None:
    with real.real_app(replace(here, rate=1.0), ROOMS, None) as app:
        client = browse(app)
        statuses = [client.get("/console/nowhere").status_code for _ in range(3)]
        statuses += [client.get("/console/rooms/last-run").status_code for _ in range(4)]
    assert statuses[:3] == [404] * 3
    assert 429 in statuses


def test_the_api_keeps_its_own_doors(token: Any, app: Any, browse: Any) -> None:
    client = browse(app)
    log_in(client, token("read"))
    for path in ("/v1/models", "/consoles", "/docs"):
        assert client.get(path).status_code == 401


@pytest.mark.parametrize("origin", [{}, {"origin": "https://evil.example"}, {"origin": "null"}])
def test_what_another_site_sends_logs_nobody_in_or_out(
    token: Any, app: Any, browse: Any, origin: dict[str, str]
) -> None:
    client = browse(app)
    log_in(client, token("read"))
    for path, sent in (("/console/logout", {}), ("/console/login", {"token": "hg_x"})):
        refused = client.post(path, data=sent, headers=origin)
        assert refused.status_code == 403
        assert "did not come from a page of this console" in refused.text
    assert client.get("/console/", follow_redirects=False).status_code == 200
