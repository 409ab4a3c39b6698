"""An endpoint: a Starlette route that also knows what it takes and answers, for OpenAPI and the docs page."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from headgate.api.problems import Problem, undecodable
from headgate.api.uploads import Upload

#: Longest body that is read, in bytes.
MAX_BODY = 1 << 20

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]

T = TypeVar("T")


@dataclass(frozen=True)
class Bytes:
    """An answer that is no JSON: the media types that it can have."""

    media: tuple[str, ...]
    words: str = "OK"


@dataclass(frozen=True)
class Events:
    """An answer that goes on: server-sent events, by their names, each in words."""

    names: dict[str, str]


@dataclass(frozen=True)
class Operation:
    """What an endpoint takes and answers. Types are such as msgspec can write a JSON schema of.

    An answer of None is plain text, or nothing where its status is 204.
    """

    summary: str
    description: str
    answer: Any  # or `Bytes`, or `Events`
    body: Any = None
    upload: Upload | None = None  # in the place of a body that is JSON: `api.receiving` receives it
    status: int = 200  # of the answer
    query: Any = None  # a struct: each of its fields is a parameter of the query
    path: Mapping[str, str] = field(default_factory=dict)  # a parameter of the path → its words
    body_example: Any = None
    answer_example: Any = None
    errors: Mapping[int, str] = field(default_factory=dict)  # status → when


class Endpoint(Route):
    """A documented route for one method. One for GET also takes HEAD."""

    def __init__(
        self,
        method: Method,
        path: str,
        handler: Callable[[Request], Awaitable[Response]],
        operation: Operation,
        scope: str | None = None,
    ) -> None:
        """Answer `method` `path` with `handler`; where no `scope` is given, GET needs "read" and all others "decide".

        A scope is one of `access.tokens.SCOPES`, one that the domain declares, or "open": it needs no token.
        """
        super().__init__(path, handler, methods=[method])
        self.method, self.operation = method, operation
        self.scope = scope or ("read" if method == "GET" else "decide")


async def read(request: Request, decoder: msgspec.json.Decoder[T], limit: int = MAX_BODY) -> T:
    """The request's body as `decoder` types it; a `Problem` (400, 413, 422) where it is not that."""
    message = await request.receive()  # as `request.stream` does, at half its price
    if message["type"] == "http.disconnect":
        raise ClientDisconnect
    body = message.get("body", b"")
    if message.get("more_body", False):
        body = await _rest(request, bytearray(body), limit)
    if len(body) > limit:
        raise _too_long(limit)
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise undecodable(error) from None


async def _rest(request: Request, body: bytearray, limit: int) -> bytearray:
    """`body` with all that follows it; `Problem` (413) as soon as that is too much."""
    more = True
    while more:
        if len(body) > limit:
            raise _too_long(limit)
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


def _too_long(limit: int) -> Problem:
    return Problem(413, "too-large", f"The body is longer than {limit} bytes: send less at once.")


def query(request: Request, of: type[T]) -> T:
    """The request's query as the struct `of`; a `Problem` (422) that names the parameter where it is not that."""
    try:
        return msgspec.convert(dict(request.query_params), of, strict=False)
    except msgspec.ValidationError as error:
        raise undecodable(error) from None


def json(value: Any) -> Response:
    """`value` as a JSON answer."""
    return Response(msgspec.json.encode(value), media_type="application/json")
