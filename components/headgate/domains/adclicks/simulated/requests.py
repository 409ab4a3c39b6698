"""Clicks as a population of users makes them, as requests."""

import secrets
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone

import msgspec
import numpy as np
from numpy.typing import NDArray

from headgate.contract.gameday import GATEWAYS as SHARED
from headgate.contract.gameday import HOMES, HOMES_V6
from headgate.contract.requests import Target
from headgate.load.measured import view

#: People who click.
USERS = 50_000

#: Of these, and the part of all clicks that they make.
ROBOTS, ROBOTS_CLICKS = 100, 0.05

#: IPs that many users share: carriers, offices, farms. A part of the users is behind them, by Zipf's law: the busiest
#: serves some 7 % of all clicks, which is the hot key of the counters.
GATEWAYS, BEHIND = 200, 0.4

#: Hours by which the users' clocks are ahead of UTC.
_OFFSETS = (-8, -5, 0, 1, 9)

_DEVICES = ("mobile", "desktop", "tablet", "other")
_DEVICE_SHARES = (0.6, 0.3, 0.07, 0.03)


class Clicks:
    """Requests of `batch` clicks each; ids are unique, users and IPs the same for the same seed.

    All that can be made before the load starts is: a request is then put together in about a microsecond a click.
    """

    def __init__(
        self,
        requests: int,
        target: Target,
        *,
        batch: int | None = None,
        seed: int = 0,
        run: str | None = None,
        tag: str = "",
        around: tuple[bytes, bytes] = (b"", b""),
    ) -> None:
        """Draw who makes the clicks of `requests`.

        `batch` None is one click, not in a list. `run` leads every id; a new one, if left out, so that no run repeats
        the clicks of another. `tag` leads the names of users, sessions and campaigns, of which there are as
        many with it as without. `around` is what a server other than ours wants before and after the clicks.
        """
        population, random = np.random.default_rng([seed, 2]), np.random.default_rng([seed, 3])
        self.run = run or secrets.token_hex(4)
        self._target, self._batch, self._around = target, batch, around
        drawn = random.choice(USERS, requests * (batch or 1), p=_activity(population))
        users, who = np.unique(drawn, return_inverse=True)
        self._who = view(who.astype(np.int32))
        # Of a click that stands alone all is known by now but its number and its time.
        self._people = _people(population, users.tolist(), tag, around[1] if batch is None else b"")
        self._second, self._stamps = -1, [b""] * len(_OFFSETS)
        self._first = f'{{"click_id":"{self.run}-'.encode()
        self._leads = [self._lead(rest) for _, rest in self._people] if batch is None else []

    def click_id(self, number: int) -> str:
        """The id of the click `number`; request k has the clicks from k · batch on."""
        return f"{self.run}-{number:08x}"

    def request(self, number: int, wall: float) -> bytes:
        """The whole request, whose clicks happen at `wall`, in seconds since the epoch."""
        second = int(wall)
        if second != self._second:
            self._second = second
            self._stamps = [_stamp(second, hours) for hours in _OFFSETS]
        milli = int((wall - second) * 1000)
        if self._batch is None:
            person = self._who[number]
            offset, rest = self._people[person]
            return b"%b%08x%b%03d%b" % (self._leads[person], number, self._stamps[offset], milli, rest)
        first = number * self._batch
        clicks = b",".join([self._click(n, milli) for n in range(first, first + self._batch)])
        before, after = self._around
        return self._target.whole(b"%b[%b]%b" % (before, clicks, after))

    def _click(self, number: int, milli: int) -> bytes:
        offset, rest = self._people[self._who[number]]
        return b"%b%08x%b%03d%b" % (self._first, number, self._stamps[offset], milli, rest)

    def _lead(self, rest: bytes) -> bytes:
        """A request up to the number in its click's id, which is 8 digits long; the milliseconds are 3."""
        first = self._around[0] + self._first
        return self._target.head(len(first) + 8 + len(_stamp(0, 0)) + 3 + len(rest)) + first


def _stamp(second: int, hours: int) -> bytes:
    """What stands between a click's number and its milliseconds, on a clock that is `hours` ahead of UTC."""
    local = datetime.fromtimestamp(second, UTC).astimezone(timezone(timedelta(hours=hours)))
    return f'","event_time":"{local:%Y-%m-%dT%H:%M:%S}.'.encode()


def _activity(random: np.random.Generator) -> NDArray[np.float64]:
    """The part of all clicks [USERS] that each user makes; the first are robots."""
    activity = random.lognormal(0, 1.5, USERS)
    activity[ROBOTS:] *= (1 - ROBOTS_CLICKS) / activity[ROBOTS:].sum()
    activity[:ROBOTS] *= ROBOTS_CLICKS / activity[:ROBOTS].sum()
    return activity


def _people(random: np.random.Generator, users: Sequence[int], tag: str, after: bytes) -> list[tuple[int, bytes]]:
    """For each of `users` the place of the clock in `_OFFSETS`, and the click's JSON from the UTC offset on."""
    offsets = random.integers(len(_OFFSETS), size=USERS)
    popularity = 1 / np.arange(1, GATEWAYS + 1)
    gateway = random.choice(GATEWAYS, USERS, p=popularity / popularity.sum())
    shared = random.random(USERS) < BEHIND
    ipv6 = random.random(USERS) < 0.15
    device = random.choice(len(_DEVICES), USERS, p=_DEVICE_SHARES)
    logged_in = random.random(USERS) < 0.4
    rfm, campaign = random.integers(3, 16, USERS), random.integers(40, size=USERS)
    people = []
    for n in users:
        offset, known = int(offsets[n]), bool(logged_in[n])
        fields = {
            "user_id": f"{tag}u-{n:05d}",
            "ip": _gateway(int(gateway[n])) if shared[n] else _home(n // 2, bool(ipv6[n])),
            "session_id": f"{tag}s-{n:05d}",
            "device": _DEVICES[device[n]],
            "logged_in": known,
            "campaign": f"{tag}campaign-{campaign[n]}",
        }
        if known:
            fields["rfm"] = int(rfm[n])
        zone = f'{_OFFSETS[offset]:+03d}:00",'.encode()
        people.append((offset, zone + msgspec.json.encode(fields)[1:] + after))
    return people


def _gateway(number: int) -> str:
    return f"{SHARED}{number >> 8}.{number & 255}"


def _home(number: int, v6: bool) -> str:
    """The address of a household of two."""
    return f"{HOMES_V6}{number:x}::1" if v6 else f"{HOMES}{number >> 8}.{number & 255}"
