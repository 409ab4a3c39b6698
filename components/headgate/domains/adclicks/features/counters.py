"""Online counters: the feature vectors of single clicks, from what was counted while earlier ones arrived.

Every store answers what `features.features` answers for the same clicks in the same order, to the last digit; see
`windows` for the semantics. A store knows entities, users and IPs, each on its own: they may lie on different machines.
So an entity counts a click's id once: what repeats it within `HISTORY` is answered as it was the first time. (A forged
id, repeated by another user or from another IP, counts for them, whereas a batch, which sees all ids, drops it.)
"""

from collections.abc import Sequence
from functools import lru_cache
from struct import Struct
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from headgate.domains.adclicks.features.addresses import ip_key
from headgate.domains.adclicks.features.click import Click, micros
from headgate.domains.adclicks.features.kernel import FEATURES, MINUTE_OF_DAY, WEEKDAY, local_minute
from headgate.domains.adclicks.features.windows import DAY, HISTORY, LATENESS, SECOND, WINDOWS

#: A first click is this long after the one before it, in µs.
LONGEST = DAY.seconds * SECOND

_MINUTE_OF_DAY = [tuple(pair) for pair in MINUTE_OF_DAY.tolist()]
_WEEKDAY = [tuple(pair) for pair in WEEKDAY.tolist()]
_VECTOR = Struct(f"={len(FEATURES)}f")
_WIDTHS = tuple(window.width for window in WINDOWS)

#: The entity that an address counts for; see `ip_key`.
entity_of_ip = lru_cache(maxsize=65_536)(ip_key)


class Observed(NamedTuple):
    """What a store answers for n clicks.

    `vectors` [n, len(FEATURES)], read-only, are the state before each click; None where the store did not answer in
    time. `complete` [n] is false where the windows may hold fewer clicks than there were.
    """

    vectors: NDArray[np.float32] | None
    complete: Sequence[bool]


class Counters(Protocol):
    """What every online store does. Clicks are observed in order of arrival; a late one counts as `windows` says."""

    async def observe(self, clicks: Sequence[Click]) -> Observed:
        """The vectors of `clicks`, each observed after those before it."""
        ...


class Arrival(NamedTuple):
    """A click as the stores take it; instants are µs since 1970."""

    click_id: str
    time: int  # its effective time, before it is raised to its entity's latest
    received: int
    user: str
    session: str
    ip: str
    context: tuple[float, ...]  # the features that no counter tells: hour, weekday, login


def arrival(
    click_id: str, event: int, received: int, offset: int, user: str, session: str, ip: str, logged_in: bool
) -> Arrival:
    """A click from its columns, instants in µs since 1970, `offset` in minutes."""
    minute = local_minute(event, offset)
    context = (*_MINUTE_OF_DAY[minute % 1440], *_WEEKDAY[minute // 1440 % 7], float(logged_in))
    time = min(max(event, received - LATENESS), received)
    return Arrival(click_id, time, received, user, session, entity_of_ip(ip), context)


def arrival_of(click: Click) -> Arrival:
    """A click that was posted."""
    return arrival(
        click.click_id,
        micros(click.event_time),
        micros(click.received_at),
        click.utc_offset_min,
        click.user_id,
        click.session_id,
        click.ip,
        click.logged_in,
    )


def user_part(clicks: Sequence[int], spans: Sequence[int], gap: float, ips: int) -> tuple[float, ...]:
    """The features of a user: `clicks` that each window holds within `spans` buckets, and the `gap` before it in µs."""
    velocity = [held / (span * width / SECOND) for held, span, width in zip(clicks, spans, _WIDTHS, strict=True)]
    return (*clicks, *velocity, gap / SECOND, ips)


def vector(user: Sequence[float], ip: Sequence[float], context: Sequence[float]) -> bytes:
    """The vector of a click as float32 in native order, from the features of its user, of its IP, and its own."""
    return _VECTOR.pack(*user, *ip, *context)


def vectors(parts: Sequence[bytes]) -> NDArray[np.float32]:
    """Read-only vectors [n, len(FEATURES)]."""
    return np.frombuffer(b"".join(parts), dtype=np.float32).reshape(-1, len(FEATURES))


def is_complete(since: float, received: int) -> bool:
    """Whether windows that have counted `since` an instant hold all that they should at `received`, both in µs."""
    return since <= received - HISTORY
