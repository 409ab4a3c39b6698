"""Reviews for programs: `/v1/DOMAIN/reviews…`, the same for every domain that has them; and what Prometheus sees."""

import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from headgate.api.endpoints import Endpoint, Operation, json, read
from headgate.api.problems import Problem, not_ready
from headgate.contract.host import Host
from headgate.decisions.reviews import answers, claims, queue
from headgate.decisions.reviews.answers import LONGEST, LONGEST_KEY, Answer
from headgate.decisions.reviews.claims import Claimed, Conflict, NotAllowed, Reader, reader_of, refuse_stranger
from headgate.domain import Domain
from headgate.errors import HeadgateError, UsageError
from headgate.serving import metrics
from headgate.settings import Settings

log = logging.getLogger(__name__)

T = TypeVar("T")

Key = Annotated[str, Meta(max_length=160)]
Client = Annotated[str, Meta(min_length=1, max_length=LONGEST_KEY)]
Why = Annotated[str, Meta(max_length=LONGEST)]


class WaitingCase(msgspec.Struct, frozen=True):
    """A case in the queue."""

    case: str
    title: str
    why: str
    kind: str
    priority: float
    deadline: datetime | None
    late: bool
    holder: str | None  # who has claimed it
    until: datetime | None


class Queue(msgspec.Struct, frozen=True):
    """What waits for whoever asks."""

    waiting: int
    cases: list[WaitingCase]
    at: datetime


class EarlierRuling(msgspec.Struct, frozen=True):
    """What was ruled before, where its reader must know."""

    outcome: str
    labels: dict[str, Any]
    why: str


class ClaimedCase(msgspec.Struct, frozen=True):
    """A case that is the caller's until an instant; `claim` goes with every answer to it."""

    case: str
    claim: int
    until: datetime
    title: str
    why: str
    kind: str
    subjects: list[str]
    about: dict[str, Any]
    decision_id: str | None
    deadline: datetime | None
    earlier: list[EarlierRuling]
    appeal: str


class Claim(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which case is claimed; the next one where none is named."""

    case: Key | None = None
    skip: Annotated[list[Key], Meta(max_length=100)] = []


class Held(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A case that one has claimed."""

    case: Key
    claim: int


class Ruling(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is ruled on a claimed case."""

    case: Key
    claim: int
    outcome: str
    client: Client
    labels: dict[str, Any] = {}
    why: Why = ""


class Ruled(msgspec.Struct, frozen=True):
    """A ruling that stands."""

    ruling: int
    case: str
    outcome: str
    labels: dict[str, Any]
    who: str


class Undo(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which ruling is taken back."""

    ruling: int


class Appeal(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which case another shall read, and why."""

    case: Key
    client: Client
    why: Why = ""


class Appealed(msgspec.Struct, frozen=True):
    """Whether this asked for it, or one before with the same key."""

    new: bool


class Until(msgspec.Struct, frozen=True):
    """How long a claim holds."""

    until: datetime


def review_endpoints(domain: Domain, host: Host) -> list[Endpoint]:
    """The endpoints of a domain's queue. Which cases a caller reads, the scopes of its token say (`Reviews.roles`)."""
    settings, base = host.settings, f"/v1/{domain.name}/reviews"

    def asks(of: type[T], work: Callable[[Reader, T], Any]) -> Callable[[Request], Any]:
        decoder = msgspec.json.Decoder(of)

        async def handler(request: Request) -> Response:
            told, reader = await read(request, decoder), reader_of(request.scope.get("state", {}).get("caller"))
            return json(await _aside(work, reader, told))

        return handler

    async def waiting(request: Request) -> Response:
        reader = reader_of(request.scope.get("state", {}).get("caller"))
        return json(_queue(await _aside(queue.look, settings, domain, reader)))

    def claim(reader: Reader, told: Claim) -> ClaimedCase | None:
        refuse_stranger(domain, reader)
        found = claims.claim(settings, domain, reader, told.case, told.skip)
        return None if found is None else _claimed(found)

    def renew(reader: Reader, told: Held) -> Until:
        return Until(claims.renew(settings, domain, reader, told.case, told.claim))

    def release(reader: Reader, told: Held) -> None:
        claims.release(settings, domain, reader, told.case, told.claim)

    def rule(reader: Reader, told: Ruling) -> Ruled:
        answer = Answer(told.outcome, told.client, told.labels, told.why)
        made = answers.rule(settings, domain, reader, told.case, told.claim, answer)
        return Ruled(made.seq, made.key, made.outcome, dict(made.labels), made.who)

    def undo(reader: Reader, told: Undo) -> ClaimedCase:
        return _claimed(answers.undo(settings, domain, reader, told.ruling))

    def appeal(reader: Reader, told: Appeal) -> Appealed:
        return Appealed(answers.appeal(settings, domain, reader.who, told.case, told.why, told.client))

    return [
        Endpoint("GET", base, waiting, _WAITING),
        Endpoint("POST", f"{base}/claims", asks(Claim, claim), _CLAIM, "read"),
        Endpoint("POST", f"{base}/renewals", asks(Held, renew), _RENEW, "read"),
        Endpoint("POST", f"{base}/releases", asks(Held, release), _RELEASE, "read"),
        Endpoint("POST", f"{base}/rulings", asks(Ruling, rule), _RULE, "read"),
        Endpoint("POST", f"{base}/undo", asks(Undo, undo), _UNDO, "read"),
        Endpoint("POST", f"{base}/appeals", asks(Appeal, appeal), _APPEAL, "decide"),
    ]


def show_counts(domains: Sequence[Domain], settings: Settings) -> None:
    """Tell Prometheus how many cases wait. Where their database is away, what was told before stays."""
    for domain in domains:
        if domain.reviews is None:
            continue
        try:
            waiting, overdue = queue.waiting(settings, domain.name)
        except HeadgateError as error:
            log.warning("%s: the reviews cannot be counted: %s", domain.name, error)
            continue
        metrics.REVIEWS_WAITING.labels(domain.name).set(waiting)
        metrics.REVIEWS_OVERDUE.labels(domain.name).set(overdue)


async def _aside(work: Callable[..., T], *arguments: Any) -> T:
    """What `work` answers in a thread; its errors as problems."""
    try:
        return await run_in_threadpool(work, *arguments)
    except Conflict as error:
        raise Problem(409, "conflict", str(error)) from None
    except NotAllowed as error:
        raise Problem(403, "forbidden", str(error)) from None
    except UsageError as error:
        raise Problem(422, "invalid", str(error)) from None
    except HeadgateError as error:
        log.warning("reviews: %s", error)
        raise not_ready("The reviews' database does not answer: try again.") from None


def _queue(found: queue.Look) -> Queue:
    lines = [
        WaitingCase(
            one.case.key,
            one.case.title,
            one.case.why,
            one.case.kind,
            one.case.priority,
            one.case.deadline,
            one.late,
            one.holder,
            one.until,
        )
        for one in found.lines
    ]
    return Queue(found.waiting, lines, found.at)


def _claimed(found: Claimed) -> ClaimedCase:
    case = found.case
    return ClaimedCase(
        case.key,
        found.token,
        found.until,
        case.title,
        case.why,
        case.kind,
        list(case.subjects),
        dict(case.about),
        case.decision_id,
        case.deadline,
        [EarlierRuling(one.outcome, dict(one.labels), one.why) for one in found.earlier],
        found.appeal,
    )


_WAITING = Operation(
    "What waits for people",
    "The cases that the caller's roles read, in the order in which they are read, with who has claimed which.",
    answer=Queue,
)
_CLAIM = Operation(
    "Claim a case",
    "The named case, or the next one: one's own claims first. It is one's own until `until`, and longer with each "
    "renewal. Null where none waits.",
    answer=ClaimedCase | None,
    body=Claim,
    errors={403: "No role of the token reads such cases.", 409: "Somebody else has it, or it is decided."},
)
_RENEW = Operation(
    "Keep a claim",
    "A sign that its reader is there.",
    answer=Until,
    body=Held,
    errors={409: "It was lost; who has it."},
)
_RELEASE = Operation("Give a claim back", "Others can claim the case at once.", answer=None, body=Held)
_RULE = Operation(
    "Rule on a claimed case",
    "With the outcome, the domain's labels and a reason. The same `client` again is the same ruling: a request whose "
    "answer was lost can be sent again.",
    answer=Ruled,
    body=Ruling,
    errors={409: "The claim was lost, or the case is decided: nothing was ruled."},
)
_UNDO = Operation(
    "Take a ruling back",
    "One's own, while nobody else has gone on with the case; the case is one's own again.",
    answer=ClaimedCase,
    body=Undo,
    errors={409: "It is too late."},
)
_APPEAL = Operation(
    "Ask for another reader",
    "The case is read once more, by somebody who has not ruled on it; what they rule holds.",
    answer=Appealed,
    body=Appeal,
    errors={409: "It was appealed before."},
)
