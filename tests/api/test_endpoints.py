"""What an endpoint takes: its method, its scope, and its body in however many pieces."""

import asyncio
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from headgate.api.endpoints import Endpoint, Operation, json, read
from headgate.api.problems import Problem, on_http_error

from ..serving.asked import asking

WHAT = Operation("", "", None)


async def method(request: Request) -> Response:
    return json(request.method)


class Sent:
    """A request whose body comes in these pieces."""

    def __init__(self, pieces: Sequence[bytes], *, torn: bool = False) -> None:
        self.messages: list[dict[str, Any]] = [
            {"type": "http.request", "body": piece, "more_body": torn or n < len(pieces)}
            for n, piece in enumerate(pieces, 1)
        ]
        if torn:
            self.messages.append({"type": "http.disconnect"})

    async def receive(self) -> dict[str, Any]:
        return self.messages.pop(0)


def taken(sent: Sent, limit: int = 100) -> Any:
    return asyncio.run(read(sent, msgspec.json.Decoder(), limit))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "scope"),
    [("GET", "read"), ("POST", "decide"), ("PUT", "decide"), ("PATCH", "decide"), ("DELETE", "decide")],
)
def test_what_changes_things_needs_another_scope_than_what_reads(name: Any, scope: str) -> None:
    endpoint = Endpoint(name, "/x", method, WHAT)
    assert endpoint.scope == scope
    assert Endpoint(name, "/x", method, WHAT, "rooms.caretaker").scope == "rooms.caretaker"
    with asking(Starlette(routes=[endpoint])) as ask:
        assert ask(name, "/x")[2] == f'"{name}"'.encode()


def test_a_path_says_all_methods_that_it_takes() -> None:
    routes = [Endpoint("GET", "/x/{one}", method, WHAT), Endpoint("DELETE", "/x/{one}", method, WHAT)]
    app = Starlette(routes=routes, exception_handlers={HTTPException: on_http_error})
    with asking(app) as ask:
        assert ask("DELETE", "/x/1")[0] == 200
        status, headers, _ = ask("PUT", "/x/1")
        assert (status, headers[b"allow"]) == (405, b"DELETE, GET, HEAD")


@given(st.lists(st.integers(1, 60), max_size=5), st.text(max_size=40))
def test_a_body_is_the_same_in_however_many_pieces(cuts: list[int], text: str) -> None:
    body = msgspec.json.encode(text)
    edges = sorted({0, len(body), *(cut for cut in cuts if cut < len(body))})
    pieces = [body[start:end] for start, end in pairwise(edges)]
    assert taken(Sent(pieces), len(body)) == text


@pytest.mark.parametrize("pieces", [[b" " * 101], [b" " * 60, b" " * 41], [b" " * 60, b" " * 41, b" "], [b" "] * 101])
def test_a_body_that_is_too_long_is_refused(pieces: list[bytes]) -> None:
    with pytest.raises(Problem) as refused:
        taken(Sent(pieces))
    assert refused.value.details.status == 413


def test_no_more_of_a_body_is_read_than_tells_that_it_is_too_long() -> None:
    sent = Sent([b" " * 60] * 100)
    with pytest.raises(Problem):
        taken(sent)
    assert len(sent.messages) == 98


@pytest.mark.parametrize("pieces", [[], [b"{"], [b"{", b"}"]])
def test_whoever_goes_before_the_end_is_not_answered(pieces: list[bytes]) -> None:
    with pytest.raises(ClientDisconnect):
        taken(Sent(pieces, torn=True))
