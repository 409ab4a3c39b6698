"""Every page of the console's own: what it shows, and words where it cannot."""

import html
import re
import threading
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from starlette.applications import Starlette
from starlette.routing import Route

from headgate.console import files, state
from headgate.console import page as page_module
from headgate.orchestration.outcome import Outcome
from headgate.registry.ledger import Entry, Ledger
from headgate.serving import app as serving_app
from headgate.settings import Settings

from ..serving import real
from ..toy import ROOMS
from .history import VERDICT


def test_the_first_page_tells_the_state_of_every_domain(client: Any) -> None:
    page = client.get("/console/")
    assert page.status_code == 200
    assert "Nothing happened yet" in page.text
    assert "default-src 'self'" in page.headers["content-security-policy"]


def test_the_first_page_says_what_decides_what_waits_and_what_is_held(client: Any, history: Settings) -> None:
    page = html.unescape(client.get("/console/").text)
    for words in ("deciding here", "canary 5 %", "Last refusal: version 2", "until 2099-03-01 00:00 UTC, by ana"):
        assert words in page


def test_a_verdict_shows_each_check_in_the_gate_s_words_failed_ones_first(client: Any, history: Settings) -> None:
    link = re.search(r'href="([^"]*)">Last refusal', client.get("/console/").text)
    assert link
    page = html.unescape(client.get(link[1]).text)
    order = sorted(VERDICT.checks, key=lambda check: page.index(check.sentence))
    assert [check.name for check in order] == ["WAPE", "jumps", "weekly peaks", "volume", "latency"]
    for check in VERDICT.checks:
        assert check.measured in page
        assert check.demanded in page


def test_while_the_registry_is_away_the_ledger_s_words_are_shown(
    history: Settings, browse: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    away = replace(history, tracking_uri="http://ops:hunter2@127.0.0.1:9")
    with real.real_app(away, ROOMS, None) as app:
        client = browse(app)
        state = client.get("/console/")
        assert "The registry does not answer" in state.text
        assert "hunter2" not in state.text
        assert 'href="http://127.0.0.1:9/#/models/rooms/versions/1"' in state.text
        verdict = client.get("/console/rooms/verdicts/3")
        assert "WAPE is worse" in verdict.text
        assert "hunter2" not in verdict.text


def test_a_registry_that_hangs_keeps_no_page_waiting(
    client: Any, history: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends = threading.Event()
    monkeypatch.setattr(page_module, "PATIENCE", 0.05)
    monkeypatch.setattr(state, "posts", lambda settings: ends.wait(60))
    try:
        for _ in range(2 * page_module.WAITING):  # more than there are threads
            page = client.get("/console/")
            assert "The registry does not answer" in page.text
            assert "Last refusal: version 2" in page.text
        assert client.get("/console/rooms/verdicts/1").status_code == 200
    finally:
        ends.set()


def test_refused_data_is_told_with_its_reasons(client: Any, here: Settings) -> None:
    why = "The day 2026-02-14 has 3 % of the usual rows: bring the rest in."
    Outcome("rooms", "2026-02-16T00:00:00+00:00", "data refused", (why,), None, "r1", None, False, why).write(here)
    assert "The last run refused its data" in client.get("/console/").text
    assert why in client.get("/console/rooms/last-run").text


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/console/nowhere", 404),
        ("/console/chat/verdicts/1", 404),
        ("/console/rooms/verdicts/999", 422),
        ("/console/rooms/last-run", 422),
        ("/console/static/../app.py", 404),
        ("/console/static/app.py", 404),
    ],
)
def test_what_is_not_there_is_said_on_a_page(client: Any, path: str, status: int) -> None:
    page = client.get(path)
    assert page.status_code == status
    assert "text/html" in page.headers["content-type"]


def test_files_are_kept_by_browsers_and_packed(client: Any) -> None:
    for name in ("plotly.js", "htmx.min.js", "console.css"):
        sent = client.get(f"/console/static/{name}")
        assert sent.status_code == 200
        assert "immutable" in sent.headers["cache-control"]
        assert sent.headers["content-encoding"] == "gzip"
        again = client.get(f"/console/static/{name}", headers={"if-none-match": sent.headers["etag"]})
        assert again.status_code == 304


@pytest.mark.parametrize(
    ("name", "media", "packs"),
    [
        ("a.png", "image/png", False),
        ("a.jpg", "image/jpeg", False),
        ("a.webp", "image/webp", False),
        ("a.woff2", "font/woff2", False),
        ("a.glb", "model/gltf-binary", True),
    ],
)
def test_pictures_fonts_and_meshes_are_files_too_and_nothing_is_packed_twice(
    tmp_path: Path, name: str, media: str, packs: bool
) -> None:
    """They lie beside a domain's pages; what no page could show is no file of it."""
    (tmp_path / "static").mkdir()
    (tmp_path / "static" / name).write_bytes(b"x" * 1000)
    (tmp_path / "static" / "a.exe").write_bytes(b"x")
    shown = files.Files({"rooms": tmp_path})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Starlette would like another client than the one that is installed
        from starlette.testclient import TestClient

        client = TestClient(Starlette(routes=[Route("/{name:path}", shown.static)]))
    sent = client.get(f"/rooms/{name}")
    assert (sent.status_code, sent.headers["content-type"], sent.content) == (200, media, b"x" * 1000)
    assert ("content-encoding" in sent.headers) == packs
    assert client.get("/rooms/a.exe").status_code == 404


def test_before_the_first_version_the_first_page_says_so(here: Settings, browse: Any) -> None:
    with mock.patch.object(serving_app, "Follower"):
        assert "none is loaded here" in browse(serving_app.build([ROOMS], here)).get("/console/").text


def test_reasons_and_names_of_people_are_text_and_never_markup(client: Any, here: Settings) -> None:
    evil = "<img src=x onerror=alert(1)>\"'</script>"
    Ledger(here).append(Entry("rooms", "alert", "<b>bob</b>", evil))
    page = client.get("/console/").text
    assert "onerror" in page
    assert "<img src=x" not in page
    assert "<b>bob" not in page


def test_pages_ask_nothing_of_other_hosts(client: Any, history: Settings) -> None:
    for path in ("/console/", "/console/rooms/verdicts/1", "/console/nowhere"):
        page = client.get(path).text
        asked = re.sub(r'href="http://127\.0\.0\.1:\d+/[^"]*"', "", page.replace('href="#main"', ""))
        assert not re.search(r'(?:src|href|action)="(?!/console/|/docs)', asked)
        assert "<script>" not in page
        assert " onclick=" not in page
