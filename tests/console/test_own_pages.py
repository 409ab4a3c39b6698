"""A domain's pages, wherever their module lies: templates and scripts beside it, and a place in the navigation."""

import html
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from headgate.domain import late
from headgate.settings import Settings

from ..serving import real
from ..toy import ROOMS

MODULE = """
from starlette.requests import Request
from starlette.responses import Response

from headgate.console.page import Page, render
from headgate.contract.host import Host


def pages(host: Host) -> list[Page]:
    async def show(request: Request) -> Response:
        return render(request, "rooms/warm.html", words="<warm>")

    return [Page("/rooms/warm", show, title="Warmth"), Page("/rooms/part", show)]
"""

TEMPLATE = """{% extends "console/base.html" %}
{% block scripts %}<script src="{{ static('rooms/warm.js') }}" defer></script>{% endblock %}
{% block main %}<h1>{{ words }}</h1>{% endblock %}"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module of nobody's package."""
    for name, text in {"warm_pages.py": MODULE, "templates/warm.html": TEMPLATE, "static/warm.js": "1;"}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "warm_pages", raising=False)
    return "warm_pages"


@pytest.mark.parametrize("how", ["late", "imported"])
def test_they_are_drawn_of_what_lies_beside_their_module(
    here: Settings, browse: Callable[..., Any], module: str, how: str
) -> None:
    bring = late(f"{module}:pages") if how == "late" else import_module(module).pages
    with real.real_app(here, replace(ROOMS, pages=bring), None) as app:
        client = browse(app)
        page = client.get("/console/rooms/warm")
        assert page.status_code == 200
        assert "<h1>&lt;warm&gt;</h1>" in page.text
        script = page.text.split('src="/console/static/rooms/')[1].split('"')[0]
        assert client.get(f"/console/static/rooms/{script}").text == "1;"
        nav = html.unescape(page.text)
        assert '<a href="/console/rooms/warm" aria-current="page">Warmth</a>' in nav
        assert "/console/rooms/part" not in nav
        assert '<a href="/console/rooms/warm">rooms</a>' in client.get("/console/").text


def test_a_domain_without_pages_is_where_the_first_page_tells_of_it(client: Any) -> None:
    page = client.get("/console/").text
    assert '<a href="/console/#rooms">rooms</a>' in page
    assert 'id="rooms"' in page
