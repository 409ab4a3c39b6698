"""Uploads, answers of bytes and events in the real app, by a domain that has them: behind its doors, and documented."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import schemathesis
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from schemathesis.specs.openapi.checks import negative_data_rejection
from starlette.requests import Request
from starlette.responses import Response

from headgate.access import tokens
from headgate.api.byte_answers import answer_file
from headgate.api.endpoints import Bytes, Endpoint, Events, Operation, json
from headgate.api.events import Event, answer_events
from headgate.api.media import GLB, PNG
from headgate.api.problems import Problem
from headgate.api.receiving import received
from headgate.api.uploads import BODY, Files, Upload
from headgate.contract.host import Host
from headgate.settings import Settings

from ..rooms import make_bundle
from ..serving import real
from ..serving.documents import BEYOND_SCHEMAS, documented
from ..toy import ROOMS, Rooms
from .uploading import GLB_HEAD, PNG_HEAD
from .wires import listening


class Seen(msgspec.Struct, frozen=True):
    """What is told of a room beside its pictures."""

    room: str
    floor: int = 0


PICTURES = Upload({"picture": Files((PNG,), "The room.", most=2)}, largest=1 << 20, values=Seen)
PLAN = Upload({BODY: Files((GLB,), "Its plan.")}, largest=1 << 20)


def routes(host: Host) -> list[Any]:
    """Pictures and plans of rooms, kept in the state folder by their sums."""
    kept = host.settings.home / "plans"

    async def add(request: Request) -> Response:
        async with received(request, PICTURES) as form:
            return json({one.sha256: one.size for one in form.files})

    async def draw(request: Request) -> Response:
        async with received(request, PLAN) as form:
            kept.mkdir(exist_ok=True)
            form.files[0].path.replace(kept / f"{request.path_params['room']}-{form.files[0].sha256}")
        return Response(status_code=204)

    async def plan(request: Request) -> Response:
        found = sorted(kept.glob(f"{request.path_params['room']:d}-*"))
        if not found:
            raise Problem(404, "not-found", "There is no plan of this room: send one.")
        return await answer_file(request, found[0], GLB, digest=found[0].name.partition("-")[2])

    async def hear(request: Request) -> Response:
        async def source(last: str) -> AsyncIterator[Event]:
            yield Event({"after": last}, "seen", "1")

        return answer_events(request, source)

    where = {"room": "The room's number."}
    one = "/v1/rooms/{room:int}/plan"
    return [
        Endpoint("POST", "/v1/rooms/pictures", add, Operation("Add", "-", dict[str, int], upload=PICTURES)),
        Endpoint(
            "PUT", one, draw, Operation("Draw", "-", None, upload=PLAN, status=204, path=where), "rooms.caretaker"
        ),
        Endpoint("GET", one, plan, Operation("Plan", "-", Bytes((GLB,)), path=where)),
        Endpoint("GET", "/v1/rooms/events", hear, Operation("Hear", "-", Events({"seen": "a room was seen"}))),
    ]


SEEING = replace(ROOMS, routes=routes, scopes={"rooms.caretaker": "draws plans"})


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> Rooms:
    return Rooms(make_bundle(tmp_path_factory.mktemp("bundles"), "tiny"))


@pytest.fixture
def here(tmp_path: Path) -> Settings:
    return real.settings(tmp_path / "state")


def test_what_is_sent_is_kept_and_answered_for_the_right_token_alone(here: Settings, predictor: Rooms) -> None:
    known = {*tokens.SCOPES, "rooms.caretaker"}
    shown = {
        scope: {"Authorization": f"Bearer {tokens.add(here.tokens_file, scope, [scope], known)}"}
        for scope in ("decide", "read", "rooms.caretaker")
    }
    mesh, picture = GLB_HEAD + b"\x01" * 100_000, PNG_HEAD + b"\x02" * 300_000
    with real.real_app(here, SEEING, predictor) as app, listening(app) as port:
        client = httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False)
        sent: dict[str, Any] = {"files": {"picture": ("a.png", picture)}, "data": {"room": "a", "floor": "2"}}
        assert client.post("/v1/rooms/pictures", **sent).status_code == 401
        assert client.post("/v1/rooms/pictures", **sent, headers=shown["read"]).status_code == 403
        added = client.post("/v1/rooms/pictures", **sent, headers=shown["decide"])
        assert added.json() == {sha256(picture).hexdigest(): 300_008}
        assert client.put("/v1/rooms/7/plan", content=mesh, headers=shown["decide"]).status_code == 403
        assert client.put("/v1/rooms/7/plan", content=mesh, headers=shown["rooms.caretaker"]).status_code == 204
        assert client.get("/v1/rooms/7/plan").status_code == 401
        part = client.get("/v1/rooms/7/plan", headers=shown["read"] | {"Range": "bytes=0-3"})
        assert (part.status_code, part.content) == (206, b"glTF")
        assert client.get("/v1/rooms/8/plan", headers=shown["read"]).status_code == 404
        assert client.delete("/v1/rooms/7/plan", headers=shown["read"]).headers["allow"] == "GET, HEAD, PUT"
        heard = client.get("/v1/rooms/events", headers=shown["read"] | {"Last-Event-ID": "0"})
        assert 'id: 1\nevent: seen\ndata: {"after":"0"}\n\n' in heard.text
        assert list((here.home / "uploads").glob("*/*")) == []
    assert list((here.home / "uploads").iterdir()) == []


@pytest.fixture(scope="module")
def document(predictor: Rooms, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with documented(real.settings(tmp_path_factory.mktemp("state")), SEEING, predictor) as document:
        yield document


@schemathesis.serializer("image/png")
def png(context: Any, value: Any) -> bytes:
    return PNG_HEAD + repr(value).encode()


@schemathesis.serializer("model/gltf-binary")
def mesh(context: Any, value: Any) -> bytes:
    return GLB_HEAD + repr(value).encode()


schema = schemathesis.pytest.from_fixture("document").include(path_regex="/v1/rooms/.*")

#: A file of a wrong type is refused by 415, which this check does not know as a refusal.
REFUSED = [*BEYOND_SCHEMAS, negative_data_rejection]


@schema.parametrize()
@hypothesis_settings(max_examples=20, suppress_health_check=list(HealthCheck))
def test_the_document_keeps_its_word(case: Any) -> None:
    case.call_and_validate(timeout=60, excluded_checks=REFUSED)
