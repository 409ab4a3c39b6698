"""Errors as people and programs can read them: RFC 9457 problem details, naming the field."""

import logging
import re
from collections.abc import Mapping
from http import HTTPStatus

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route

from headgate.privacy.references import BeingForgotten, Gone
from headgate.telemetry import REQUEST_ID

log = logging.getLogger(__name__)

MEDIA = "application/problem+json"

#: Kinds of problems: the last part of their `type`, which leads to their place on the docs page.
KINDS = {
    "malformed": "The body is not JSON, or not the form that the endpoint takes.",
    "invalid": "The body is JSON, or a form, but not what the endpoint takes; `errors` names the field.",
    "too-large": "The body is longer than the endpoint takes, or the head than any does.",
    "too-slow": "The request did not arrive in time.",
    "wrong-type": "A file is of a type that the endpoint does not take, as its first bytes say.",
    "range": "The part that was asked for lies beyond the end; `Content-Range` tells the length.",
    "busy": "As much is under way as this process takes at once; try again after `Retry-After` seconds.",
    "no-room": "The server's disk is too full for what was sent.",
    "unauthenticated": "There is no token, or one that is not known; `WWW-Authenticate` says which.",
    "forbidden": "The token lacks the scope that `detail` names.",
    "too-many": "More requests than one caller may send; try again after `Retry-After` seconds.",
    "conflict": "Somebody, or time, was there before: nothing was changed, and `detail` says who and what.",
    "not-found": "There is no such path.",
    "gone": "It was here, and was forgotten, or its time is over; `detail` says what and since when.",
    "method": "The path does not know this method; `Allow` lists those that it knows.",
    "not-ready": "No version is loaded yet that could answer; try again after `Retry-After` seconds.",
    "fault": "A fault of the server, which has logged it.",
}


class FieldError(msgspec.Struct, frozen=True):
    """What is wrong with one part of the body."""

    pointer: str  # RFC 6901 JSON pointer as a URI fragment, e.g. "#/3/event_time"
    detail: str


class ProblemDetails(msgspec.Struct, frozen=True, omit_defaults=True):
    """RFC 9457 problem details."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[FieldError] = []


class Problem(Exception):
    """Raised by an endpoint; answered as problem details."""

    def __init__(
        self,
        status: int,
        kind: str,
        detail: str,
        *,
        errors: list[FieldError] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """`kind` is one of `KINDS`; `detail` says what to do about it."""
        super().__init__(detail)
        title = HTTPStatus(status).phrase
        self.details = ProblemDetails(f"/docs#{kind}", title, status, detail, errors or [])
        self.headers = headers

    @property
    def response(self) -> Response:
        """The answer that says so."""
        body = msgspec.json.encode(self.details)
        return Response(body, self.details.status, headers=self.headers, media_type=MEDIA)


def not_ready(detail: str) -> Problem:
    """No version can answer yet."""
    return Problem(503, "not-ready", detail, headers={"Retry-After": "5"})


def gone(error: Gone | BeingForgotten) -> Problem:
    """What the store does not give any more, or does not take at this moment."""
    if isinstance(error, Gone):
        return Problem(410, "gone", str(error))
    return Problem(503, "busy", str(error), headers={"Retry-After": "5"})


def undecodable(error: Exception) -> Problem:
    """What is wrong with a body that msgspec refused."""
    if not isinstance(error, msgspec.ValidationError):
        return Problem(400, "malformed", f"The body is no JSON: {error}.")
    what, path = _place(str(error))
    return Problem(422, "invalid", f"{what} (at {path}).", errors=[FieldError(path, what)])


def _place(message: str) -> tuple[str, str]:
    """Split msgspec's "… - at `$[3].ip`" into what is wrong and a JSON pointer to it.

    A field that is missing, unknown or inconsistent is named in the text, not in the path: "… field `ip` - at `$[3]`".
    """
    what, _, path = message.partition(" - at `$")
    pointer = re.sub(r"\[(\d+)\]|\.([^.\[]+)", r"/\1\2", path.removesuffix("`"))
    named = re.search(r"field `([^`]*)`", what)
    if named:
        pointer += "/" + named[1].replace("~", "~0").replace("/", "~1")
    return what, "#" + pointer


def on_problem(request: Request, error: Exception) -> Response:
    """Answer a `Problem`."""
    assert isinstance(error, Problem)
    return error.response


def on_gone(request: Request, error: Exception) -> Response:
    """Answer that bytes were forgotten, or are at this moment."""
    assert isinstance(error, Gone | BeingForgotten)
    return gone(error).response


def on_http_error(request: Request, error: Exception) -> Response:
    """Answer what the router refused."""
    assert isinstance(error, HTTPException)
    path = request.url.path
    if error.status_code == 404:
        return Problem(404, "not-found", f"There is nothing at {path}: /docs lists what there is.").response
    if error.status_code == 405:
        detail = f"{path} does not take {request.method}: /docs says what it takes."
        return Problem(405, "method", detail, headers={"Allow": ", ".join(_methods(request))}).response
    return Problem(error.status_code, "invalid", error.detail, headers=error.headers).response


def _methods(request: Request) -> list[str]:
    """What the path takes, over all routes that have it: the router itself tells those of the first alone."""
    routes = [route for route in request.app.routes if isinstance(route, Route)]
    here = [route for route in routes if route.matches(request.scope)[0] is not Match.NONE]
    return sorted({method for route in here for method in route.methods or ()})


async def on_fault(request: Request, error: Exception) -> Response:
    """Answer a fault without a word about the inside; the server logs the traceback itself, under the same id."""
    log.error("%s %r failed: %s", request.method, request.url.path, type(error).__name__)
    request_id = REQUEST_ID.get()
    detail = "Something went wrong here, not in your request. It has been logged under the request's id."
    return Problem(500, "fault", detail, headers={"X-Request-Id": request_id} if request_id else None).response
