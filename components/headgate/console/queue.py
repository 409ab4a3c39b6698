"""The queue page of every domain whose decisions people rule on: a card, a key for each outcome, and what waits.

The page itself holds nothing: `queue.js` claims, rules and takes back by the parts below, so that who reloads goes on
where they were, and the next card is there before it is asked for.
"""

import json
from collections.abc import Callable, Coroutine, Mapping
from datetime import UTC, datetime
from typing import Any, Literal, get_args, get_origin

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from headgate.console.guard import Refused, form
from headgate.console.page import Page, aside, ask, caller, render
from headgate.contract.host import Host
from headgate.contract.reviews import alternatives
from headgate.decisions.reviews import answers, claims, queue
from headgate.decisions.reviews.answers import Answer
from headgate.decisions.reviews.claims import Claimed, Conflict, NotAllowed, Reader, reader_of, refuse_stranger
from headgate.domain import Domain
from headgate.errors import HeadgateError, UsageError

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


def queue_pages(domain: Domain, host: Host) -> list[Page]:
    """The page, and the parts that it is made of, below `/NAME/queue`."""
    made, base = _Queue(domain, host), f"/{domain.name}/queue"
    changes = {
        "claim": made.claim,
        "renew": made.renew,
        "release": made.release,
        "rule": made.rule,
        "undo": made.undo,
    }
    return [
        Page(base, made.page, title="Queue"),
        Page(f"{base}/beside", made.beside),
        *(Page(f"{base}/{name}", one, method="POST", scope="read") for name, one in changes.items()),
    ]


class _Queue:
    """The handlers of one domain's queue. Whom a token's scopes let read what, `Reviews.roles` says."""

    def __init__(self, domain: Domain, host: Host) -> None:
        self._domain, self._host, self._reviews = domain, host, domain.ruled_on
        self._fields = fields_of(domain.ruled_on.labels, domain.ruled_on.choices.values())

    async def page(self, request: Request) -> Response:
        """The frame, in which `queue.js` works."""
        self._reader(request)
        told = {"lease": self._reviews.lease_seconds, "address": f"/console/{self._domain.name}/queue"}
        return render(request, "console/queue.html", domain=self._domain, keys=self._keys(), told=told)

    async def beside(self, request: Request) -> Response:
        """What waits; nothing where the reader has seen it (204)."""
        reader, seen = self._reader(request), request.query_params.get("v", "")
        unchanged: bool = bool(seen) and await ask(request, self._unchanged, seen)
        if unchanged:
            return Response(status_code=204)
        found = await ask(request, self._look, reader)
        return render(request, "console/queue_beside.html", look=found, me=reader.who, version=_version(found))

    async def claim(self, request: Request) -> Response:
        """The next card, or a named one; who has it where somebody else does (409)."""
        reader, told = self._reader(request), await form(request)
        skip = [key for key in told.get("skip", "").split(",") if key][:100]
        key = told.get("case") or None
        found = await self._do(request, claims.claim, reader, key, skip)
        if found is None:
            return Response(status_code=204)
        return await self._card(request, found)

    async def renew(self, request: Request) -> Response:
        """A sign of the reader."""
        reader, told = self._reader(request), await form(request)
        until = await self._do(request, claims.renew, reader, told.get("case", ""), _number(told, "claim"))
        return JSONResponse({"until": until.timestamp(), "now": _now()})

    async def release(self, request: Request) -> Response:
        """A claim is given back."""
        reader, told = self._reader(request), await form(request)
        await self._do(request, claims.release, reader, told.get("case", ""), _number(told, "claim"))
        return Response(status_code=204)

    async def rule(self, request: Request) -> Response:
        """A ruling: what it was, and until when it can be taken back."""
        reader, told = self._reader(request), await form(request)
        answer = Answer(told.get("outcome", ""), told.get("client", ""), given(self._fields, told), told.get("why", ""))
        made = await self._do(request, answers.rule, reader, told.get("case", ""), _number(told, "claim"), answer)
        words = self._domain.decides.told(made.outcome)
        until = made.at + self._reviews.undo_seconds
        return JSONResponse({"ruling": made.seq, "words": words, "until": until, "now": _now()})

    async def undo(self, request: Request) -> Response:
        """The card of a ruling that was taken back."""
        reader, told = self._reader(request), await form(request)
        return await self._card(request, await self._do(request, answers.undo, reader, _number(told, "ruling")))

    def _reader(self, request: Request) -> Reader:
        reader = reader_of(caller(request))
        try:
            refuse_stranger(self._domain, reader)
        except NotAllowed as error:
            raise Refused(403, str(error)) from None
        return reader

    async def _do(self, request: Request, work: Callable[..., Any], *arguments: Any) -> Any:
        """What `work` does in a thread, on this domain; a conflict is told as such."""
        try:
            return await ask(request, work, self._host.settings, self._domain, *arguments)
        except Conflict as error:
            raise Refused(409, str(error)) from None
        except NotAllowed as error:
            raise Refused(403, str(error)) from None

    async def _card(self, request: Request, found: Claimed) -> Response:
        card = await aside(request, self._reviews.card, found.case, self._host)
        words = self._domain.decides
        earlier = [(words.told(one.outcome), one) for one in found.earlier]
        return render(
            request,
            "console/queue_case.html",
            found=found,
            case=found.case,
            card=card,
            values=card.values,
            keys=self._keys(),
            fields=self._fields,
            earlier=earlier,
            now=_now(),
        )

    def _keys(self) -> list[tuple[str, str, str]]:
        """Every outcome that can be ruled, with its key and its words."""
        return [(one, key, self._domain.decides.told(one)) for one, key in self._reviews.choices.items()]

    def _unchanged(self, seen: str) -> bool:
        """Whether nothing has moved since the version `seen`, nor by time."""
        moves, _, until = seen.partition(":")
        try:
            same = int(moves) == queue.moves(self._host.settings, self._domain.name)
            return same and (not until or float(until) > _now())
        except ValueError:
            return False

    def _look(self, reader: Reader) -> queue.Look:
        return queue.look(self._host.settings, self._domain, reader)


def fields_of(labels: type[msgspec.Struct] | None, taken: Any = ()) -> list[dict[str, Any]]:
    """The labels as fields of a form: each with its name, its words, its kind, and the values that it can have.

    A value has a digit as its key, as long as there are any that are not `taken` by an outcome. A label that is neither
    one of several values, a truth, a number nor text is left to the domain's own template, which sends it as JSON.
    """
    digits = iter([digit for digit in "123456789" if digit not in set(taken)])
    made = []
    for one in msgspec.structs.fields(labels) if labels is not None else ():
        kind, values = _kind(one.type)
        keyed = [(value, next(digits, "")) for value in values]
        key = next(digits, "") if kind == "truth" else ""
        words = one.name.replace("_", " ").capitalize()
        made.append({"name": one.name, "words": words, "kind": kind, "values": keyed, "key": key})
    return made


def _kind(declared: Any) -> tuple[str, tuple[Any, ...]]:
    found = alternatives(declared)
    one = found[0] if len(found) == 1 else None
    if get_origin(one) is Literal:
        return "choice", get_args(one)
    simple = {bool: "truth", int: "number", float: "number", str: "text"}
    return next((kind for known, kind in simple.items() if one is known), "json"), ()


def given(fields: list[dict[str, Any]], told: Mapping[str, str]) -> dict[str, Any]:
    """The labels that a form tells; those that are empty are left out. Raises UsageError for what is none."""
    found: dict[str, Any] = {}
    for field in fields:
        text = told.get(f"label_{field['name']}", "")
        if not text:
            continue
        found[field["name"]] = _value(field, text)
    return found


def _value(field: Mapping[str, Any], text: str) -> Any:
    if field["kind"] == "choice":
        return next((value for value, _ in field["values"] if str(value) == text), text)
    if field["kind"] == "truth":
        return True
    if field["kind"] == "text":
        return text
    try:
        return json.loads(text)
    except ValueError:
        raise UsageError(f"{field['words']} is no {field['kind']}: {text[:80]}.") from None


def _number(told: Mapping[str, str], name: str) -> int:
    try:
        return int(told.get(name, ""))
    except ValueError:
        raise HeadgateError("The form is not one of this page: open it again.") from None


def _version(found: queue.Look) -> str:
    return f"{found.moves}:{found.until.timestamp() if found.until else ''}"


def _now() -> float:
    return datetime.now(UTC).timestamp()
