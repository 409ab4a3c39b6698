"""The document and the docs page of endpoints that take and answer more than JSON."""

import re
from typing import Annotated, Any

import msgspec
import pytest
from msgspec import Meta
from openapi_spec_validator import validate

from headgate.api import docs, openapi
from headgate.api.endpoints import Bytes, Endpoint, Events, Operation
from headgate.api.media import GLB, JPEG, PNG
from headgate.api.problems import KINDS
from headgate.api.uploads import BODY, Files, Upload


class Item(msgspec.Struct, frozen=True):
    """What is told beside photos."""

    item: Annotated[str, Meta(max_length=40, description="Which item it is.")]
    grams: int = 0


class Asked(msgspec.Struct, frozen=True):
    size: int = 0


async def handler(request: Any) -> Any:
    raise AssertionError("nobody asks")


def named(name: str) -> Any:
    async def own(request: Any) -> Any:
        return await handler(request)

    own.__name__ = name
    return own


PHOTOS = Upload(
    {"photo": Files((PNG, JPEG), "What the cameras saw.", most=4), "depth": Files((PNG,), least=0)},
    largest=32 << 20,
    values=Item,
    seconds=90,
)
SCAN = Upload({BODY: Files((GLB,)), "scan": Files((GLB,))}, largest=100 << 10)
ENDPOINTS = [
    Endpoint("POST", "/v1/items", named("add"), Operation("Add", "An item.", dict[str, str], upload=PHOTOS)),
    Endpoint(
        "PUT",
        "/v1/items/{item}/scan",
        named("scan"),
        Operation(
            "Scan", "A mesh.", None, upload=SCAN, status=204, path={"item": "Its number."}, errors={413: "Large."}
        ),
        "rooms.caretaker",
    ),
    Endpoint(
        "GET",
        "/v1/items/{item}/scans/{number:int}.glb",
        named("mesh"),
        Operation("Mesh", "As it is.", Bytes((GLB,), "The mesh."), query=Asked),
    ),
    Endpoint("PATCH", "/v1/items/{item}", named("mend"), Operation("Mend", "-", Item, body=Item, body_example={})),
    Endpoint("DELETE", "/v1/items/{item}", named("forget"), Operation("Forget", "-", None, status=204)),
    Endpoint("GET", "/v1/items/events", named("hear"), Operation("Hear", "-", Events({"claimed": "by another"}))),
]


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return openapi.document(ENDPOINTS)


def test_the_document_is_one(document: dict[str, Any]) -> None:
    validate(msgspec.json.decode(msgspec.json.encode(document)))


def test_methods_and_scopes_stand_in_it(document: dict[str, Any]) -> None:
    assert set(document["paths"]["/v1/items/{item}"]) == {"patch", "delete"}
    assert document["paths"]["/v1/items/{item}/scan"]["put"]["security"] == [{"token": ["rooms.caretaker"]}]
    assert document["paths"]["/v1/items/{item}"]["delete"]["security"] == [{"token": ["decide"]}]
    assert list(document["paths"]["/v1/items/{item}"]["delete"]["responses"]) == ["204", "default"]


def test_a_form_is_told_with_its_texts_files_and_limits(document: dict[str, Any]) -> None:
    body = document["paths"]["/v1/items"]["post"]["requestBody"]
    form = body["content"]["multipart/form-data"]
    assert form["schema"]["required"] == ["item", "photo"]
    assert form["schema"]["properties"]["photo"]["maxItems"] == 4
    assert form["schema"]["properties"]["photo"]["description"] == "What the cameras saw."
    assert form["schema"]["properties"]["item"]["maxLength"] == 40
    assert form["encoding"] == {
        "photo": {"contentType": "image/png, image/jpeg"},
        "depth": {"contentType": "image/png"},
    }
    assert "32 MiB, arriving within 90 s and no slower than 16 KiB a second" in body["description"]


def test_a_body_of_bytes_and_an_answer_of_bytes_are_told(document: dict[str, Any]) -> None:
    scan = document["paths"]["/v1/items/{item}/scan"]["put"]["requestBody"]
    assert list(scan["content"]) == ["model/gltf-binary", "multipart/form-data"]
    assert "100 KiB" in scan["description"]
    mesh = document["paths"]["/v1/items/{item}/scans/{number}.glb"]["get"]
    assert list(mesh["responses"]["200"]["content"]) == ["model/gltf-binary"]
    assert {"206", "304"} <= set(mesh["responses"])
    assert [(one["name"], one["in"], one["schema"]["type"]) for one in mesh["parameters"]] == [
        ("item", "path", "string"),
        ("number", "path", "integer"),
        ("size", "query", "integer"),
    ]
    assert document["paths"]["/v1/items/{item}/scan"]["put"]["parameters"][0]["description"] == "Its number."


def test_events_are_told_by_name(document: dict[str, Any]) -> None:
    answer = document["paths"]["/v1/items/events"]["get"]["responses"]["200"]
    assert list(answer["content"]) == ["text/event-stream"]
    assert "`claimed`: by another" in answer["description"]


def test_every_operation_can_be_tried_from_the_page(document: dict[str, Any]) -> None:
    page = docs.page(document, [], "http://x")
    tried = [re.sub(r"&(#x27|quot);", "'", one) for one in re.findall(r"<h3>Try</h3><pre>(.*?)</pre>", page, re.DOTALL)]
    assert "'photo=@photo.png'" in tried[0]
    assert "'item=…'" in tried[0]
    assert "http://x/v1/items/ITEM/scan -X PUT" in tried[1]
    assert "-F 'scan=@scan.glb'" in tried[1]
    assert "http://x/v1/items/ITEM/scans/NUMBER.glb \\" in tried[2]
    assert tried[2].endswith("-o answer.glb")
    assert "-X PATCH" in tried[3]
    assert "-X DELETE" in tried[4]
    assert tried[5].endswith("-N")
    assert "At most 32 MiB" in page
    assert "Its number." in page
    for kind in KINDS:
        assert f'id="{kind}"' in page
