"""The doors of the console: the API's tokens and scopes, shown by a cookie, and nothing changed for another site.

The cookie holds the token itself, out of reach of scripts, and goes to the console alone. So it is known to every
worker, and a token that is removed opens nothing a second later.
"""

from time import monotonic
from typing import ClassVar
from urllib.parse import parse_qs, quote, urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from headgate.access.rate import Rate, neighbourhood, retry_after
from headgate.access.tokens import Caller, Keys, loopback

COOKIE = "headgate_token"

#: Seconds after which a browser forgets the token.
SESSION = 12 * 3600

#: The longest form that is read, in bytes.
MAX_FORM = 1 << 16


class Refused(Exception):
    """A request that may not pass, in words for the person who sent it."""

    def __init__(self, status: int, words: str, retry: float = 0.0) -> None:
        """`status` is the HTTP status; 401 leads to the login page. `retry` is in seconds."""
        super().__init__(words)
        self.status, self.words = status, words
        self.headers = {"Retry-After": retry_after(retry)} if retry else {}


class ConsoleGuard:
    """Who may see pages, and who may change things by them."""

    MISSING: ClassVar[str] = "Show a token with the scope `read`: `headgate token add NAME --scope read` makes one."

    def __init__(self, keys: Keys, *, required: bool, rate: float | None) -> None:
        """Know callers by `keys`; where tokens are not `required`, they are once `keys` held one."""
        self._keys, self._required = keys, required
        self._rate = Rate(rate) if rate else None

    def asked(self) -> bool:
        """Whether a token is needed."""
        self._keys.look(monotonic())
        return self._required or self._keys.needed

    def find(self, token: str) -> Caller | None:
        """Whose `token` it is; None where it is nobody's."""
        self._keys.look(monotonic())
        return self._keys.find(token.strip().encode("utf-8", "replace"))

    def admits(self, request: Request) -> bool:
        """Whether a request that passed still may, for answers that last."""
        if not self.asked():
            return True
        before: Caller | None = request.scope.get("state", {}).get("caller")
        return before is not None and self.find(_shown(request)) == before

    def enter(self, request: Request, scope: str) -> None:
        """Note whose request it is; raises `Refused` where it may not pass."""
        needed = self.asked()
        found = self.find(_shown(request)) if needed else None
        if self._rate and (wait := self._rate.wait(_who(found, request), monotonic())):
            raise Refused(429, "More requests came than one caller may send: wait a moment.", wait)
        if needed and found is None:
            raise Refused(401, self.MISSING)
        if found is not None and scope not in found.scopes:
            raise Refused(403, f"The token {found.name} lacks the scope `{scope}`: log in with one that has it.")
        if request.method not in ("GET", "HEAD"):
            same_site(request)
            if not needed and not loopback(request.url.hostname or ""):  # a name that was made to lead here
                raise Refused(403, "Without tokens, things are changed only by the address 127.0.0.1 or localhost.")
        if found is not None:
            request.state.caller = found


def same_site(request: Request) -> None:
    """Raise `Refused` unless a page of this console sent the request: what other sites send has another origin."""
    origin = request.headers.get("origin", "")
    if not origin or urlsplit(origin).netloc != request.headers.get("host"):
        raise Refused(403, "This did not come from a page of this console, so nothing was changed: open it and repeat.")


async def form(request: Request) -> dict[str, str]:
    """The fields of a form, each once; raises `Refused` for a form that is too long or not UTF-8."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_FORM:
            raise Refused(413, f"The form is longer than {MAX_FORM:,} bytes: write less.")
    try:
        return {name: values[-1] for name, values in parse_qs(body.decode(), keep_blank_values=True).items()}
    except (UnicodeDecodeError, ValueError):
        raise Refused(400, "The form cannot be read: send it again from the page.") from None


def logged_in(request: Request, token: str, to: str) -> Response:
    """Go on to `to` with a cookie that shows `token`."""
    answer = RedirectResponse(to, 303)
    secure = "https" in (request.url.scheme, urlsplit(request.headers.get("origin", "")).scheme)  # or a proxy speaks it
    answer.set_cookie(
        COOKIE, token.strip(), max_age=SESSION, path="/console", httponly=True, samesite="strict", secure=secure
    )
    return answer


def to_login(request: Request) -> Response:
    """Lead to the login page, and from there back."""
    asked = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    address = f"/console/login?to={quote(asked if request.method == 'GET' else '/console/', safe='')}"
    if "hx-request" in request.headers:
        back = urlsplit(request.headers.get("hx-current-url", ""))
        there = back.path + (f"?{back.query}" if back.query else "")
        return Response(status_code=401, headers={"HX-Redirect": f"/console/login?to={quote(there, safe='')}"})
    return RedirectResponse(address, 303)


def inside(to: str) -> str:
    """`to` where it is a page of the console, else its first page: a link must not lead elsewhere."""
    fine = to.startswith("/console/") and "\\" not in to and to.isprintable()
    return to if fine else "/console/"


def _shown(request: Request) -> str:
    """The token of the request: of its header, as programs show it, or of its cookie."""
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    return token if kind.lower() == "bearer" else request.cookies.get(COOKIE, "")


def _who(caller: Caller | None, request: Request) -> str:
    """Whose bucket a request is taken from."""
    if caller is not None:
        return caller.name
    return f"@{neighbourhood(request.client.host)}" if request.client else "@"
