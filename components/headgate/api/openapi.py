"""The OpenAPI document of an app, written from its endpoints and their msgspec types."""

from collections.abc import Iterable
from importlib.metadata import version
from typing import Any

import msgspec

from headgate.api.endpoints import Endpoint
from headgate.api.problems import KINDS, MEDIA, ProblemDetails

_DESCRIPTION = """Decisions of the versions that the gate let through.

A batch is decided by one version, also while another one takes its place. Errors are problem details (RFC 9457):
`type` leads to its explanation, `errors` names the fields. Every answer has an `X-Request-Id`, yours if you sent one.

Send a token where the server asks for one: `Authorization: Bearer hg_…`; `headgate token add` makes it."""

_TOKEN = {"type": "http", "scheme": "bearer", "description": "From `headgate token add`, with the scope that is named."}


def document(endpoints: Iterable[Endpoint]) -> dict[str, Any]:
    """OpenAPI 3.1 of `endpoints`."""
    endpoints = list(endpoints)
    types = [t for e in endpoints for t in (e.operation.body, e.operation.answer) if t is not None]
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
    answers: dict[str, Any] = {"200": {"description": "OK", "content": _content(operation.answer)}}
    if operation.answer_example is not None:
        answers["200"]["content"]["application/json"]["example"] = operation.answer_example
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
    if operation.query is not None:
        written["parameters"] = _parameters(operation.query)
    if operation.body is not None:
        content = _content(operation.body)
        content["application/json"]["example"] = operation.body_example
        written["requestBody"] = {"required": True, "content": content}
    return written


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
