"""The simulated world that people and robots share: time zones, the calendar, addresses, and all chance.

Nobody is stored. A person is a number, and every attribute is a hash of that number, so a population of millions costs
nothing and is the same on every day. What happens on a day is drawn from generators keyed by seed, stream and day, so a
day does not depend on how many others are simulated.
"""

import zlib
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from headgate.domains.adclicks.data.schema import DEVICES

U64 = NDArray[np.uint64]
I64 = NDArray[np.int64]
F64 = NDArray[np.float64]

MINUTE = 60_000  # times are whole milliseconds since 1970, UTC
HOUR = 60 * MINUTE
DAY = 24 * HOUR
SLOTS = 96  # a day's rhythm is known by the quarter of an hour

#: Where people live: minutes ahead of UTC, and the share of people there.
OFFSETS = np.array([-480, -300, 0, 60, 180, 330, 480, 540])
POPULATION = np.array([0.10, 0.24, 0.14, 0.22, 0.06, 0.08, 0.10, 0.06])

#: How much people click in each local hour, Monday to Friday and at weekends.
_WORKDAY = [
    35,
    20,
    12,
    10,
    10,
    18,
    40,
    70,
    90,
    100,
    105,
    110,
    120,
    110,
    100,
    100,
    105,
    115,
    130,
    150,
    165,
    160,
    120,
    70,
]
_WEEKEND = [55, 35, 20, 14, 10, 12, 20, 40, 65, 90, 110, 120, 120, 115, 110, 105, 105, 105, 110, 120, 130, 125, 100, 75]

CAMPAIGNS = 120
KINDS = ("human", "burst", "slow", "farm", "rotating", "buyer", "paced")
MOBILE, DESKTOP, TABLET, OTHER = range(len(DEVICES))

#: One row a click, before it becomes text. `buys` is the chance that the click leads to a purchase; `net` is an IPv4
#: address, or the /64 of an IPv6 address where it is 2**32 or more.
TRAFFIC: dict[str, pl.DataType] = {
    "at": pl.Int64(),
    "user": pl.UInt64(),
    "session": pl.UInt64(),
    "net": pl.UInt64(),
    "device": pl.UInt8(),
    "offset": pl.Int16(),
    "campaign": pl.UInt8(),
    "logged_in": pl.Boolean(),
    "rfm": pl.Int8(),
    "buys": pl.Float32(),
    "kind": pl.UInt8(),
}


@dataclass(frozen=True)
class World:
    """What stays the same from day to day."""

    seed: int
    clicks_per_day: int
    start: date

    def rng(self, stream: str, *key: int) -> np.random.Generator:
        """Make the generator of one stream, say ("people", day, zone)."""
        return np.random.default_rng([self.seed, zlib.crc32(stream.encode()), *key])

    def hash(self, ids: ArrayLike, what: str) -> U64:
        """Hash the numbers `ids` (n,) to 64 bits, one independent hash for every name `what`."""
        salt = np.random.SeedSequence([self.seed, zlib.crc32(what.encode())]).generate_state(1, np.uint64)
        return _splitmix64(np.asarray(ids, np.uint64) ^ salt)

    def uniform(self, ids: ArrayLike, what: str) -> F64:
        """Hash the numbers `ids` (n,) to [0, 1): a persistent random attribute."""
        return (self.hash(ids, what) >> np.uint64(11)).astype(np.float64) * 2.0**-53

    # -- people and their places -----------------------------------------------------------------------------------

    @cached_property
    def residents(self) -> I64:
        """Count the people in each zone; the person with number p of zone z has the id `z << 40 | p`."""
        return np.maximum(50, np.round(1.3 * self.clicks_per_day * POPULATION)).astype(np.int64)

    def home(self, person: U64) -> U64:
        """Find the networks of people's homes (n,): two people share one, and a quarter of homes speak IPv6."""
        household = person >> np.uint64(1)
        digest = self.hash(household, "home")
        return np.where(self.uniform(household, "home-v6") < 0.25, ipv6(digest), ipv4(digest))

    def carrier(self, zone: ArrayLike, size_rank: F64) -> U64:
        """Find the addresses of mobile carriers' gateways (n,); low ranks in [0, 1) are the crowded ones."""
        return self._gateway("carrier", zone, size_rank**1.7, people_per_gateway=600)

    def office(self, zone: ArrayLike, size_rank: F64) -> U64:
        """Find the addresses of offices' gateways (n,)."""
        return self._gateway("office", zone, size_rank**1.3, people_per_gateway=500)

    def _gateway(self, what: str, zone: ArrayLike, rank: F64, people_per_gateway: int) -> U64:
        zone = np.asarray(zone, np.int64)
        count = np.maximum(1, self.residents[zone] // people_per_gateway)
        return ipv4(self.hash(zone << 40 | (rank * count).astype(np.int64), what))

    # -- the calendar ----------------------------------------------------------------------------------------------

    def midnight(self, day: int) -> int:
        """Give the millisecond at which day number `day` begins, in UTC."""
        return (self.start - date(1970, 1, 1)).days * DAY + day * DAY

    def rhythm(self, day: int, zone: int) -> F64:
        """Weigh the (96,) quarters of the UTC day by how much the people of a zone click in them."""
        local = np.arange(SLOTS) * 15 + 7.5 + OFFSETS[zone]
        weekday = (self.start + timedelta(day)).weekday()
        weekend = (weekday + np.floor_divide(local, 1440)) % 7 >= 5
        hour = local % 1440 / 60
        curves = [np.interp(hour, np.arange(25) + 0.5, [*curve, curve[0]], period=24) for curve in (_WORKDAY, _WEEKEND)]
        load: F64 = np.where(weekend, curves[1], curves[0]) / np.mean(_WORKDAY)
        return load

    def moments(self, rng: np.random.Generator, day: int, zone: ArrayLike) -> I64:
        """Draw a moment of the day (n,) by the rhythm of each zone (n,)."""
        zone = np.asarray(zone)
        chance, at = rng.random(zone.shape), np.empty(zone.shape)
        for z in np.unique(zone):
            cumulative = np.concatenate([[0.0], np.cumsum(self.rhythm(day, z))])
            at[zone == z] = np.interp(chance[zone == z], cumulative / cumulative[-1], np.linspace(0, DAY, SLOTS + 1))
        return self.midnight(day) + at.astype(np.int64)

    def drift(self, what: str, day: int, sigma: float, memory: float) -> float:
        """Give a factor with median 1 whose logarithm is a stationary AR(1) over the days."""
        shocks = self.rng(what).standard_normal(day + 1)
        weights = memory ** np.arange(day, -1, -1.0)
        weights[1:] *= np.sqrt(1 - memory**2)
        return float(np.exp(sigma * (weights @ shocks)))

    def is_sale(self, day: int) -> bool:
        """Tell whether shops hold a sale on that day: one day in fourteen does."""
        return bool(self.rng("sales").random(day + 1)[day] < 1 / 14)


def ipv4(digest: U64) -> U64:
    """Turn hashes into IPv4 addresses between 20.0.0.0 and 119.255.255.255."""
    return ((np.uint64(20) + digest % np.uint64(100)) << np.uint64(24)) | (digest >> np.uint64(40))


def ipv6(digest: U64) -> U64:
    """Turn hashes into /64 networks below 2a00::/8."""
    return np.uint64(0x2A << 56) | (digest >> np.uint64(8))


def sequence(start: I64, count: I64, gap: F64) -> tuple[I64, I64]:
    """Lay out runs of clicks: run i begins at `start[i]` and has `count[i]` clicks.

    `gap` holds, for every click of every run in turn, the milliseconds since the one before (a first one's is ignored).
    Returns the index of each click's run and its time, both of length `sum(count)`.
    """
    run = np.repeat(np.arange(len(count)), count)
    elapsed = np.cumsum(gap)
    return run, start[run] + np.rint(elapsed - elapsed[np.cumsum(count) - count][run]).astype(np.int64)


def random_ids(rng: np.random.Generator, n: int) -> U64:
    """Draw n fresh 64-bit identities."""
    return rng.integers(0, 2**64 - 1, n, dtype=np.uint64)


def _splitmix64(x: U64) -> U64:
    # The finaliser of SplitMix64: Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014.
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
