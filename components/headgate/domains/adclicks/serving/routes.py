"""`POST /v1/adclicks/decisions`: is this click one that an advertiser should not pay for?"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Annotated, Any, Literal, cast

import msgspec
from msgspec import Meta
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from headgate.api.endpoints import Endpoint, Operation, json, read
from headgate.api.guard import may_see_scores
from headgate.contract.host import Host
from headgate.domains.adclicks.companions.followed import LOOKUPS
from headgate.domains.adclicks.companions.lookups import Lookups
from headgate.domains.adclicks.features.click import Click, Instant, Name, campaign_of, now
from headgate.domains.adclicks.features.counters import Counters, entity_of_ip
from headgate.domains.adclicks.features.memory_counters import MemoryCounters
from headgate.domains.adclicks.features.redis_counters import RedisCounters
from headgate.domains.adclicks.serving.handler import DOMAIN, DecisionHandler
from headgate.domains.adclicks.serving.warming import Warmer, warm_memory
from headgate.privacy.pseudonyms import Pseudonyms, salt
from headgate.serving.batching import Batching
from headgate.serving.redis import connect

#: Most clicks in one request.
MAX_CLICKS = 1000

#: Most clicks of requests of one click each that are decided in one pass. Lists are passes of their own: a single click
#: would wait for a whole list.
TOGETHER = 32

#: How far a sender's clock may be ahead of ours.
SKEW = timedelta(minutes=5)

#: How late a click may be learned of, and told to us; what seems older has a clock that was never set, and shows 1970
#: or the year 1.
LATEST = timedelta(days=3653)

#: Local time minus UTC, where people live.
WEST, EAST = timedelta(hours=-12), timedelta(hours=14)

Device = Literal["mobile", "desktop", "tablet", "other"]


class PostedClick(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """A click as it is posted."""

    click_id: Annotated[Name, Meta(description="Unique. A repeated id is not counted again.")]
    event_time: Annotated[
        Instant,
        Meta(
            description="When it happened: RFC 3339 with the clicker's UTC offset, from which the local hour is taken; "
            "at most 5 minutes after `received_at`, and at most 10 years before it."
        ),
    ]
    user_id: Annotated[Name, Meta(description="Who clicked: an account, or a cookie where nobody is logged in.")]
    ip: Annotated[Name, Meta(description="IPv4, IPv6 (counted by its /64), or an opaque token.")]
    session_id: Annotated[Name | None, Meta(description="`user_id` where it is missing.")] = None
    device: Annotated[Device, Meta(description="What it was made on.")] = "other"
    logged_in: Annotated[bool, Meta(description="Whether the user was logged in.")] = False
    campaign: Annotated[str, Meta(max_length=256, description="The advertiser's campaign.")] = ""
    rfm: Annotated[
        Annotated[int, Meta(ge=3, le=15)] | None,
        Meta(description="Recency + frequency + monetary quintiles of the account, as known to you at the click."),
    ] = None
    received_at: Annotated[
        Instant,
        Meta(
            description="When you learned of it, RFC 3339 with an offset; our own clock where it is missing, at most 5 "
            "minutes ahead of it, and at most 10 years before it."
        ),
    ] = msgspec.field(default_factory=now)

    def __post_init__(self) -> None:
        """Refuse times that no clock of a clicker can show."""
        offset = self.event_time.utcoffset()
        assert offset is not None  # `Instant` has a time zone
        if not WEST <= offset <= EAST:
            raise ValueError("field `event_time` has a UTC offset outside -12:00 … +14:00, where nobody lives")
        if self.event_time - self.received_at > SKEW:
            raise ValueError(
                "field `event_time` lies more than 5 minutes after `received_at`: no click is from the future"
            )
        clock = now()
        if self.received_at - clock > SKEW:
            raise ValueError(
                "field `received_at` lies more than 5 minutes ahead of our clock: nothing is learned early"
            )
        if clock - self.received_at > LATEST:
            raise ValueError(
                "field `received_at` lies more than 10 years before our clock: the sender's clock is not set"
            )
        if self.received_at - self.event_time > LATEST:
            raise ValueError(
                "field `event_time` lies more than 10 years before `received_at`: the sender's clock is not set"
            )

    def click(self, pseudonym: Pseudonyms, rfm: int | None) -> Click:
        """The click as it is counted and kept: nobody's name is in it. `rfm` is what is known where none was posted."""
        offset = cast(timedelta, self.event_time.utcoffset())
        return Click(
            click_id=self.click_id,
            event_time=self.event_time,
            utc_offset_min=int(offset.total_seconds()) // 60,
            user_id=pseudonym("user", self.user_id),
            session_id=pseudonym("session", self.session_id or self.user_id),
            ip=pseudonym("ip", entity_of_ip(self.ip)),
            device=self.device,
            logged_in=self.logged_in,
            campaign=campaign_of(self.campaign, self.ip),
            rfm=rfm if self.rfm is None else self.rfm,
            received_at=self.received_at,
        )


class Decision(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """What was decided about a click. Who probes the gate learns one bit: a score is for operators' tokens alone."""

    click_id: str
    invalid: Annotated[bool, Meta(description="True: do not bill it. The visit itself goes on.")]
    slice: Annotated[str, Meta(description="The slice of traffic whose threshold decided.")]
    version: Annotated[int, Meta(description="The version that decided.")]
    decision_id: Annotated[str, Meta(description="Unique; `headgate trace ID` tells how it came about.")]
    pending: Annotated[
        bool, Meta(description="True where the counters did not answer in time: valid by default, decided by a replay.")
    ] = False
    score: Annotated[float | None, Meta(description="Only for a token with the scope `operate`.")] = None


Posted = PostedClick | Annotated[list[PostedClick], Meta(max_length=MAX_CLICKS)]


def routes(host: Host, counters: Counters | None = None) -> list[Any]:
    """The endpoint; `counters` are those that the settings name unless others are given."""
    counts = counters or _counters(host)
    pseudonym = Pseudonyms(salt(host.settings))
    lookups = Lookups(host.settings, current=lambda: host.companions.of(DOMAIN).get(LOOKUPS))
    host.beside.append(lookups.beside)
    decoder = msgspec.json.Decoder(Posted)
    deciding = DecisionHandler(host, counts, lookups)
    together = Batching(deciding, TOGETHER)

    async def decide_clicks(request: Request) -> Response:
        posted = await read(request, decoder)
        listed = [posted] if isinstance(posted, PostedClick) else posted
        clicks = [one.click(pseudonym, None if one.rfm else lookups.rfm(one.user_id)) for one in listed]
        rows = await deciding(clicks) if isinstance(posted, list) else [await together(clicks[0])]
        shown = may_see_scores(request)
        answers = [
            Decision(
                row.click_id,
                row.outcome == "invalid",
                row.slice,
                row.version,
                row.decision_id,
                row.role == "default",
                row.score if shown else None,
            )
            for row in rows
        ]
        return json(answers[0] if isinstance(posted, PostedClick) else answers)

    return [Endpoint("POST", "/v1/adclicks/decisions", decide_clicks, _OPERATION)]


def _counters(host: Host) -> Counters:
    """The counters that the settings name, started and warmed with the process."""
    settings = host.settings
    if settings.redis is None:
        memory = MemoryCounters()

        @asynccontextmanager
        async def warmed() -> AsyncIterator[None]:
            await run_in_threadpool(warm_memory, memory, settings)
            yield

        host.beside.append(warmed)
        return memory
    warmer = Warmer(settings)
    counters = RedisCounters(connect(settings.redis), settings.redis_deadline, on_flushed=warmer.wake)
    host.beside.extend((counters.running, warmer.running))
    return counters


_EXAMPLE = {
    "click_id": "c-1",
    "event_time": "2026-01-05T09:30:00+01:00",
    "user_id": "u-1",
    "session_id": "s-1",
    "ip": "192.0.2.1",
    "device": "mobile",
    "logged_in": True,
    "campaign": "spring",
    "rfm": 11,
}

_OPERATION = Operation(
    summary="Decide one click, or a list of clicks",
    description=(
        f"Takes one click and answers one decision, or takes up to {MAX_CLICKS:,} clicks, in the order in which they "
        "arrived, and answers as many decisions in that order, all by one version, or by two while a version is tried "
        "on a share of the users.\n\n"
        "Each click is judged by what its user and its IP did before it, and then counted itself. A `click_id` that is "
        "repeated within a day is judged by the same counts as the first time and not counted again: the answer can "
        "differ only where another version has become champion meanwhile."
    ),
    body=Posted,
    answer=Decision | list[Decision],
    body_example=_EXAMPLE,
    answer_example={
        "click_id": "c-1",
        "invalid": False,
        "slice": "mobile/in/direct",
        "version": 7,
        "decision_id": "20260105-3f9c1a2b7d-1",
    },
    errors={
        400: "The body is not JSON.",
        413: "The body is longer than 1 MiB.",
        422: "A field is missing, unknown, of another type or out of range, or the list has more than "
        f"{MAX_CLICKS:,} clicks; `errors` names it. Nothing was counted.",
        503: "No version is loaded yet; nothing was counted.",
    },
)
