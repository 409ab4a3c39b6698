"""The OpenAPI document of an app, written from its endpoints and their msgspec types."""

from collections.abc import Iterable
from importlib.metadata import version
from typing import Any

import msgspec
from starlette.convertors import FloatConvertor, IntegerConvertor, PathConvertor, StringConvertor, UUIDConvertor

from headgate.api.endpoints import Bytes, Endpoint, Events, Operation
from headgate.api.events import RELOAD
from headgate.api.media import EVENTS
from headgate.api.problems import KINDS, MEDIA, ProblemDetails
from headgate.api.uploads import BODY, FORM, Upload

_DESCRIPTION = """Decisions of the versions that the gate let through.

A batch is decided by one version, also while another one takes its place. Errors are problem details (RFC 9457):
`type` leads to its explanation, `errors` names the fields. Every answer has an `X-Request-Id`, yours if you sent one.

Send a token where the server asks for one: `Authorization: Bearer hg_…`; `headgate token add` makes it."""

_TOKEN = {"type": "http", "scheme": "bearer", "description": "From `headgate token add`, with the scope that is named."}


def document(endpoints: Iterable[Endpoint]) -> dict[str, Any]:
    """OpenAPI 3.1 of `endpoints`."""
    endpoints = list(endpoints)
    told = [t for e in endpoints for t in (e.operation.body, e.operation.answer)]
    types = [one for one in told if one is not None and not isinstance(one, Bytes | Events)]
    _, schemas = msgspec.json.schema_components([*types, ProblemDetails], ref_template="#/components/schemas/{name}")
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in endpoints:
        paths.setdefault(endpoint.path_format, {})[endpoint.method.lower()] = _operation(endpoint)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Headgate", "version": version("headgate"), "description": _DESCRIPTION},
        "paths": paths,
        "components": {"schemas": schemas, "securitySchemes": {"token": _TOKEN}},
        "externalDocs": {"description": "Kinds of problems: " + ", ".join(KINDS), "url": "/docs"},
    }


def _operation(endpoint: Endpoint) -> dict[str, Any]:
    operation = endpoint.operation
    answers = _answers(operation)
    for status, when in sorted(operation.errors.items()):
        answers[str(status)] = {"description": when, "content": _content(ProblemDetails, MEDIA)}
    answers["default"] = {"description": "Any other error.", "content": _content(ProblemDetails, MEDIA)}
    written: dict[str, Any] = {
        "operationId": endpoint.name,
        "summary": operation.summary,
        "description": operation.description,
        "responses": answers,
        "security": [] if endpoint.scope == "open" else [{"token": [endpoint.scope]}],
    }
    if 503 in operation.errors:
        written["responses"]["503"]["headers"] = {
            "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}
        }
    in_path = [
        {"name": name, "in": "path", "required": True, "description": operation.path.get(name, ""), "schema": schema}
        for name, schema in ((name, _SEGMENTS[type(one)]) for name, one in endpoint.param_convertors.items())
    ]
    in_query = _parameters(operation.query) if operation.query is not None else []
    if in_path or in_query:
        written["parameters"] = in_path + in_query
    if operation.upload is not None:
        written["requestBody"] = _upload(operation.upload)
    elif operation.body is not None:
        content = _content(operation.body)
        content["application/json"]["example"] = operation.body_example
        written["requestBody"] = {"required": True, "content": content}
    return written


#: What each kind of a path's parameter is. A path in a path can hold slashes, which OpenAPI has no word for.
_SEGMENTS: dict[type, dict[str, Any]] = {
    StringConvertor: {"type": "string", "minLength": 1},
    PathConvertor: {"type": "string"},
    IntegerConvertor: {"type": "integer", "minimum": 0},
    FloatConvertor: {"type": "number", "minimum": 0},
    UUIDConvertor: {"type": "string", "format": "uuid"},
}


def _answers(operation: Operation) -> dict[str, Any]:
    """What is answered where all is well."""
    if operation.status == 204:
        return {"204": {"description": "Done."}}
    if isinstance(operation.answer, Bytes):
        content = dict.fromkeys(operation.answer.media, _BYTES)
        return {
            str(operation.status): {"description": operation.answer.words, "content": content},
            "206": {"description": "The bytes that `Range` asked for.", "content": content},
            "304": {"description": "They are still those that `If-None-Match` names."},
        }
    if isinstance(operation.answer, Events):
        names = operation.answer.names | {RELOAD: "some were missed, so load anew"}
        told = "; ".join(f"`{name}`: {words}" for name, words in names.items())
        return {"200": {"description": f"Events as they come ({told}).", "content": {EVENTS: _event(names)}}}
    answer: dict[str, Any] = {"description": "OK", "content": _content(operation.answer)}
    if operation.answer_example is not None:
        answer["content"]["application/json"]["example"] = operation.answer_example
    return {str(operation.status): answer}


_BYTES: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}


def _event(names: Iterable[str]) -> dict[str, Any]:
    """One event, as its fields are read."""
    text = {"type": "string"}
    data = text | {"contentMediaType": "application/json"}
    fields = {"event": text | {"enum": list(names)}, "data": data, "id": text}
    return {"schema": {"type": "object", "properties": fields, "required": ["event", "data"]}}


def _upload(upload: Upload) -> dict[str, Any]:
    """The body of an upload, with its limits in words."""
    content: dict[str, Any] = {}
    if BODY in upload.files:
        content |= dict.fromkeys(upload.files[BODY].media, _BYTES)
    if upload.form:
        content[FORM] = _form(upload)
    return {"required": True, "description": in_words(upload), "content": content}


def _form(upload: Upload) -> dict[str, Any]:
    """A form: its texts as their struct has them, and its files."""
    schema: dict[str, Any] = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}
    if upload.values is not None:
        ((_, texts),) = msgspec.json.schema_components([upload.values])[1].items()
        schema["properties"] |= texts["properties"]
        schema["required"] += texts.get("required", [])
    encoding = {}
    for name, files in upload.files.items():
        if name == BODY:
            continue
        one = _BYTES["schema"] | ({"description": files.words} if files.words else {})
        many = {"type": "array", "items": _BYTES["schema"], "minItems": files.least, "maxItems": files.most}
        schema["properties"][name] = one if files.most == 1 else many | {"description": files.words}
        schema["required"] += [name] if files.least else []
        encoding[name] = {"contentType": ", ".join(files.media)}
    return {"schema": schema, "encoding": encoding}


def in_words(upload: Upload) -> str:
    """The limits of an upload."""
    size, unit = (upload.largest >> 20, "MiB") if upload.largest >= 1 << 20 else (upload.largest >> 10, "KiB")
    types = sorted({media for files in upload.files.values() for media in files.media})
    return (
        f"At most {size} {unit}, arriving within {upload.seconds:g} s and no slower than {upload.rate / 1024:g} KiB a "
        f"second. What a file is, its first bytes say: {', '.join(types)}."
    )


def _parameters(of: Any) -> list[dict[str, Any]]:
    """The parameters of a query, from the struct that types it."""
    ((_, schema),) = msgspec.json.schema_components([of])[1].items()
    required = schema.get("required", [])
    return [
        {
            "name": name,
            "in": "query",
            "required": name in required,
            "description": field.pop("description", ""),
            "schema": field,
        }
        for name, field in schema["properties"].items()
    ]


def _content(of: Any, media: str = "application/json") -> dict[str, Any]:
    """A body of type `of`; None is plain text."""
    if of is None:
        return {"text/plain": {"schema": {"type": "string"}}}
    (schema,), _ = msgspec.json.schema_components([of], ref_template="#/components/schemas/{name}")
    return {media: {"schema": schema}}
