"""A click as it comes over the wire, and its instants as integers."""

from datetime import UTC, datetime
from typing import Annotated, Literal

import msgspec

from headgate.contract.gameday import RANGES, TAG

Instant = Annotated[datetime, msgspec.Meta(tz=True)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]  # bounded, since the counters keep names in memory

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def now() -> datetime:
    """This instant by our own clock, in UTC."""
    return datetime.now(UTC)


class Click(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """One click, the columns of `schema.CLICKS`; one without `received_at` is received as it is parsed."""

    click_id: Name
    event_time: Instant
    utc_offset_min: Annotated[int, msgspec.Meta(ge=-720, le=840)]
    user_id: Name
    session_id: Name
    ip: Name
    device: Literal["mobile", "desktop", "tablet", "other"]
    logged_in: bool
    campaign: str = ""
    rfm: Annotated[int, msgspec.Meta(ge=3, le=15)] | None = None
    received_at: Instant = msgspec.field(default_factory=now)


def micros(instant: datetime) -> int:
    """Microseconds since the epoch of an `instant` with a time zone, exactly."""
    since = instant - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds  # a third of the price of //


def campaign_of(campaign: str, ip: str) -> str:
    """The campaign as it is kept: one that bears the tag and did not come from a game day's IP shows that."""
    return campaign if not campaign.startswith(TAG) or ip.startswith(RANGES) else f"not-{campaign}"
