"""The doors of the app: who may ask what, how often, and under which id it is logged."""

import re
import secrets
from collections.abc import Callable, Iterable
from itertools import count
from time import monotonic
from urllib.parse import urlsplit

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from headgate.access.rate import Rate, neighbourhood, retry_after
from headgate.access.tokens import Caller, Keys, loopback
from headgate.api.endpoints import Endpoint
from headgate.api.problems import Problem, gone
from headgate.privacy.references import BeingForgotten, Gone
from headgate.telemetry import REQUEST_ID

_SANE_ID = re.compile(rb"[\w.:/+=@-]{1,128}", re.ASCII)
#: What browsers say (Fetch Metadata) of a request that a page from elsewhere sends. Without tokens whoever reaches this
#: machine is trusted, and every page reaches it that is open in a browser here.
_ELSEWHERE = (b"cross-site", b"same-site")

#: Methods that change nothing, so that a link may lead to them from anywhere.
_HARMLESS = frozenset({"GET", "HEAD"})

_CHALLENGE = 'Bearer realm="headgate"'


class Guard:
    """ASGI middleware before every route: gives a request its id, asks for its token, and limits its caller's rate.

    Pure ASGI, without request objects: it is on the path of every decision. Where tokens are not `required`, they are
    from the moment on that `keys` holds one, and stay so when the last is removed.
    """

    def __init__(
        self,
        app: ASGIApp,
        endpoints: Iterable[Endpoint],
        keys: Keys,
        *,
        required: bool,
        rate: float | None,
        beyond: str | None = None,
    ) -> None:
        """Guard `app`; `rate` is in requests a second, for each token, or each address where none is shown.

        What lies below the path `beyond` has doors of its own.
        """
        self._app, self._keys, self._required = app, keys, required
        self._endpoints = list(endpoints)
        self._at = {(method, e.path): e for e in self._endpoints for method in e.methods or ()}
        self._rate = Rate(rate) if rate else None
        self._beyond = beyond
        self._process, self._numbers = secrets.token_hex(4), count(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer why not."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        shown = sent_id = site = origin = b""
        for name, value in scope["headers"]:
            if name == b"authorization":
                shown = b", ".join(filter(None, (shown, value)))  # of two, none is right: a proxy may look at the other
            elif name == b"x-request-id":
                sent_id = value
            elif name == b"sec-fetch-site":
                site = value
            elif name == b"origin":
                origin = value
        request_id = sent_id if _SANE_ID.fullmatch(sent_id) else f"{self._process}-{next(self._numbers):x}".encode()
        REQUEST_ID.set(request_id.decode())

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", request_id)]
            await send(message)

        endpoint = self._at.get((scope["method"], scope["path"]))
        problem = self._refusal(scope, endpoint, shown, site in _ELSEWHERE or is_foreign(origin))
        if problem is not None:
            await problem.response(scope, receive, answer)
        elif endpoint is not None:
            await _answer(endpoint, scope, receive, answer)
        else:
            await self._app(scope, receive, answer)

    def _refusal(self, scope: Scope, endpoint: Endpoint | None, shown: bytes, elsewhere: bool) -> Problem | None:
        """Why the request may not pass; notes its caller for the routes where it may."""
        needed = self._needed(scope, endpoint)
        if needed == "open":  # probes come often, from where everybody comes from, and show no token
            return None
        now = monotonic()
        self._keys.look(now)
        required = self._required or self._keys.needed
        if elsewhere and not required and scope["method"] not in _HARMLESS:
            return foreign()
        caller = _caller(self._keys, shown) if required and shown else None
        if self._rate and (wait := self._rate.wait(_who(caller, scope), now)):
            return too_many(wait)
        if required and caller is None:
            return unauthenticated(known=not shown)
        if caller is not None:
            if needed not in caller.scopes:
                return forbidden(caller, needed, there=endpoint is not None)
            scope.setdefault("state", {})["caller"] = caller
        return None

    def _needed(self, scope: Scope, endpoint: Endpoint | None) -> str:
        """What the request needs; "read" where no route takes it, so that what there is shows to nobody."""
        if endpoint is None and self._beyond and f"{scope['path']}/".startswith(f"{self._beyond}/"):
            return "open"
        found = endpoint or next((e for e in self._endpoints if e.matches(scope)[0] is Match.FULL), None)
        if found is None:
            return "read"
        scope["endpoint"] = found.endpoint  # a refusal is counted under its path
        return found.scope


async def _answer(endpoint: Endpoint, scope: Scope, receive: Receive, send: Send) -> None:
    """What Starlette's router does for a path without parameters, at a fraction of its price."""
    try:
        response = await endpoint.endpoint(Request(scope, receive, send))
    except Problem as problem:
        response = problem.response
    except (Gone, BeingForgotten) as error:
        response = gone(error).response
    except ClientDisconnect:
        response = Response(status_code=400)  # nobody is there to read it
    await response(scope, receive, send)


def admission(keys: Keys, *, required: bool) -> Callable[[Request], bool]:
    """Asks again whether a request may pass that did, for answers that last: meanwhile tokens come and go."""

    def admits(request: Request) -> bool:
        keys.look(monotonic())
        if not (required or keys.needed):
            return True
        before: Caller | None = request.scope.get("state", {}).get("caller")
        now = _caller(keys, request.headers.get("authorization", "").encode("latin-1"))
        return before is not None and now == before

    return admits


def _caller(keys: Keys, shown: bytes) -> Caller | None:
    """Whose token a header shows."""
    kind, _, token = shown.partition(b" ")
    return keys.find(token.strip()) if kind.lower() == b"bearer" else None


def is_foreign(origin: bytes) -> bool:
    """Whether a page that was not loaded from this machine sent a request, as its `Origin` tells.

    Browsers tell `Sec-Fetch-Site` only to addresses they trust, which a name of elsewhere that leads here is not.
    """
    if not origin:
        return False
    try:
        host = urlsplit(origin.decode("latin-1")).hostname
    except ValueError:
        return True
    return host is None or not loopback(host)


def may_see_scores(request: Request) -> bool:
    """Whether an answer may hold scores: its token has the scope `operate`. Who shows no token sees none."""
    caller: Caller | None = request.scope.get("state", {}).get("caller")
    return caller is not None and "operate" in caller.scopes


def unauthenticated(*, known: bool) -> Problem:
    """No token, or one that is not `known`."""
    if known:
        said, challenge = "This needs a token", _CHALLENGE
    else:
        said, challenge = "This token is not known, or was removed", f'{_CHALLENGE}, error="invalid_token"'
    detail = f"{said}: send `Authorization: Bearer hg_…`; `headgate token add` makes one."
    return Problem(401, "unauthenticated", detail, headers={"WWW-Authenticate": challenge})


def forbidden(caller: Caller, scope: str, *, there: bool) -> Problem:
    """A token without the scope that is needed, or, where nothing is `there`, that is needed to learn so."""
    detail = f"The token {caller.name} lacks the scope `{scope}`: use one that has it."
    if not there:
        detail = f"For the token {caller.name} there is nothing here: check method and path, or use one with `{scope}`."
    challenge = f'{_CHALLENGE}, error="insufficient_scope", scope="{scope}"'
    return Problem(403, "forbidden", detail, headers={"WWW-Authenticate": challenge})


def foreign() -> Problem:
    """A page of another site sent the request."""
    detail = (
        "A page of another site sent this, and there are no tokens: `headgate token add` makes one to send with it."
    )
    return Problem(403, "forbidden", detail)


def too_many(wait: float) -> Problem:
    """More requests than the caller may send; there is one again in `wait` seconds."""
    detail = "More requests came than one caller may send: wait for `Retry-After` seconds, or send lists."
    return Problem(429, "too-many", detail, headers={"Retry-After": retry_after(wait)})


def _who(caller: Caller | None, scope: Scope) -> str:
    """Whose bucket a request is taken from."""
    if caller is not None:
        return caller.name
    client = scope.get("client")
    return f"@{neighbourhood(client[0])}" if client else "@"
