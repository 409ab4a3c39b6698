"""A picture through all rails: sent as a form, kept in the store, shown in parts, and gone when it is forgotten."""

import warnings
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from starlette.requests import Request
from starlette.responses import Response

from headgate.api.byte_answers import answer_bytes
from headgate.api.endpoints import Endpoint, Operation, json
from headgate.api.receiving import received
from headgate.api.uploads import Files, Upload
from headgate.contract.host import Host
from headgate.contract.kinds import Kind
from headgate.domain import Domain
from headgate.privacy.pseudonyms import unit_pseudonym
from headgate.privacy.store import Store
from headgate.serving.app import build
from headgate.settings import Settings

from ..toy import ROOMS

PNG = b"\x89PNG\r\n\x1a\n" + b"of Ann" * 40_000
PICTURE = Kind("picture", "pictures", timedelta(days=30), ("image/png",), keyed=True)
PATH = "/v1/rooms/pictures"


class Guest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who sends it."""

    guest: str


UPLOAD = Upload({"picture": Files(("image/png",), "of the room")}, largest=1 << 20, values=Guest)


def routes(host: Host) -> list[Any]:
    store = Store(host.settings, "rooms", (PICTURE,))

    async def keep(request: Request) -> Response:
        async with received(request, UPLOAD) as form:
            (file,) = form.named("picture")
            return json({"reference": store.put(form.values.guest, file.path, "picture", file.media)})

    async def show(request: Request) -> Response:
        return answer_bytes(request, store.get(request.path_params["reference"]), "image/png")

    taken = Operation("Keep a picture", "", answer=dict[str, str], upload=UPLOAD)
    return [
        Endpoint("POST", PATH, keep, taken),
        Endpoint("GET", PATH + "/{reference}", show, Operation("Show it", "", answer=None)),
    ]


PICTURED: Domain = replace(ROOMS, kinds=(PICTURE,), routes=routes)


@pytest.fixture
def client(settings: Settings) -> Iterator[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Starlette would like another client than the one that is installed
        from starlette.testclient import TestClient

        yield TestClient(build([PICTURED], settings), raise_server_exceptions=False)


def send(client: Any) -> Any:
    return client.post(PATH, data={"guest": "Ann"}, files={"picture": ("ann.png", PNG)})


def test_a_picture_is_kept_shown_in_parts_and_gone_when_its_guest_is_forgotten(client: Any, settings: Settings) -> None:
    reference = send(client).json()["reference"]
    shown = client.get(f"{PATH}/{reference}")
    assert (shown.content, shown.headers["content-type"]) == (PNG, "image/png")
    part = client.get(f"{PATH}/{reference}", headers={"Range": "bytes=0-7"})
    assert (part.status_code, part.content) == (206, PNG[:8])
    Store(settings, "rooms", (PICTURE,)).forget("Ann")
    gone = client.get(f"{PATH}/{reference}")
    assert (gone.status_code, gone.json()["type"]) == (410, "/docs#gone")
    assert "forgotten on" in gone.json()["detail"]
    assert not [path for path in settings.home.rglob("*") if path.is_file() and b"of Ann" in path.read_bytes()]


def test_nothing_is_taken_of_a_guest_while_they_are_forgotten(client: Any, settings: Settings) -> None:
    store = Store(settings, "rooms", (PICTURE,))
    begun = store.begin(unit_pseudonym(settings, "rooms", "Ann"))
    refused = send(client)
    assert (refused.status_code, refused.json()["type"], refused.headers["retry-after"]) == (503, "/docs#busy", "5")
    store.erase(begun)
    store.index.done(begun)
    assert send(client).status_code == 200
