"""The simulated robots: five kinds that are always there, and a sixth that appears in the scenario `new-robots`.

Each kind is a function from the number of clicks to expect on a day to those clicks. Robots borrow what people have
(gateways, home addresses, rhythms, accounts), so no single counter tells them apart.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import ArrayLike

from headgate.domains.adclicks.simulated.world import (
    CAMPAIGNS,
    DAY,
    DESKTOP,
    HOUR,
    I64,
    KINDS,
    MINUTE,
    MOBILE,
    OFFSETS,
    POPULATION,
    TRAFFIC,
    U64,
    World,
    ipv6,
    random_ids,
    sequence,
)

Rng = np.random.Generator


@dataclass(frozen=True)
class Kind:
    """A kind of robot: its usual share of a day's clicks, how much that swings, and what it does."""

    share: float
    swing: float
    clicks: Callable[[World, Rng, int, float], pl.DataFrame | None]


def robots(world: World, day: int, *, factor: float = 1.0, paced: bool = False) -> Iterator[pl.DataFrame]:
    """Draw the robots' clicks of a day, one kind after another (columns: TRAFFIC).

    `factor` multiplies the kinds that are always there; `paced` lets the sixth kind in.
    """
    for name, kind in ROBOTS.items():
        if name == "paced" and not paced:
            continue
        level = world.drift(name, day, kind.swing, memory=0.85) * (1.0 if name == "paced" else factor)
        clicks = kind.clicks(world, world.rng(name, day), day, world.clicks_per_day * kind.share * level)
        if clicks is not None:
            yield clicks


def _bursts(world: World, rng: Rng, day: int, expected: float) -> pl.DataFrame | None:
    """Dozens to hundreds of clicks within minutes from one fresh user and one address, some behind a gateway."""
    n = rng.poisson(expected / 86)
    count = np.clip(rng.lognormal(np.log(60), 0.85, n), 12, 800).astype(np.int64)
    pace = np.clip(rng.lognormal(np.log(8_000), 0.8, n), 300, 60_000)
    zone = _zones(rng, n)
    start = world.midnight(day) + rng.integers(0, DAY, n)
    run, at = sequence(start, count, rng.exponential(np.repeat(pace, count)))
    hidden = rng.random(n) < 0.3
    net = np.where(hidden, world.carrier(zone, rng.random(n)), world.home(_somebody(world, rng, zone)))
    device = rng.choice([MOBILE, DESKTOP], n, p=[0.6, 0.4])
    return _traffic(
        rng, "burst", at, random_ids(rng, n)[run], random_ids(rng, n)[run], net[run], device[run], zone[run]
    )


def _slow(world: World, rng: Rng, day: int, expected: float) -> pl.DataFrame | None:
    """Many users at a low steady rate, around the clock and without rhythm, each at its own address."""
    n = rng.poisson(expected / 3.5)
    bot = np.arange(n) + (day // 10 << 32)
    zone = np.searchsorted(np.cumsum(POPULATION)[:-1], world.uniform(bot, "slow-zone"), side="right")
    count = rng.poisson(1.5 + 4 * world.uniform(bot, "slow-rate"))
    run = np.repeat(np.arange(n), count)
    at = world.midnight(day) + rng.integers(0, DAY, len(run))
    net = world.home(_address_of(world, bot, zone))
    device = np.where(world.uniform(bot, "slow-device") < 0.65, MOBILE, DESKTOP)
    user, session = world.hash(bot, "slow"), random_ids(rng, len(run))
    login = (world.uniform(bot, "slow-login") < 0.2)[run]
    return _traffic(rng, "slow", at, user[run], session, net[run], device[run], zone[run], login, top_rfm=7)


def _farms(world: World, rng: Rng, day: int, expected: float) -> pl.DataFrame | None:
    """Rooms of phones behind a carrier's gateway that people use too; each phone clicks about as a keen person does."""
    phones_per_farm, clicks_per_visit = 60, 2.5
    n = rng.poisson(expected / clicks_per_visit)
    farms = max(1, round(expected / 250))
    phone = rng.integers(0, farms * phones_per_farm, n) + (day // 7 << 32)
    farm = phone // phones_per_farm
    zone = np.searchsorted(np.cumsum(POPULATION)[:-1], world.uniform(farm, "farm-zone"), side="right")
    count = 1 + rng.poisson(clicks_per_visit - 1, n)
    run, at = sequence(world.moments(rng, day, zone), count, rng.gamma(2.0, 12_000, count.sum()))
    net = world.carrier(zone, world.uniform(farm, "farm-carrier"))
    login = world.uniform(phone, "farm-login") < 0.25
    user, session = world.hash(phone, "farm"), random_ids(rng, n)
    return _traffic(
        rng, "farm", at, user[run], session[run], net[run], np.full(len(run), MOBILE), zone[run], login[run], top_rfm=8
    )


def _rotating(world: World, rng: Rng, day: int, expected: float) -> pl.DataFrame | None:
    """One user, many addresses: hours of clicks through other people's homes, a new one every few clicks."""
    n = rng.poisson(expected / 16)
    bot = np.arange(n) + (day // 3 << 32)
    zone = _zones(rng, n)
    count = np.clip(rng.lognormal(np.log(13), 0.65, n), 3, 250).astype(np.int64)
    pace = np.clip(rng.lognormal(np.log(2 * MINUTE), 0.7, n), MINUTE // 4, 12 * MINUTE)
    start = world.midnight(day) + rng.integers(0, DAY, n)
    run, at = sequence(start, count, rng.gamma(1.5, np.repeat(pace, count) / 1.5))
    lent = np.cumsum(rng.random(len(run)) < 0.6)  # which loan of an address a click falls into
    host = world.home(_somebody(world, rng, zone[run]))
    net = host[np.searchsorted(lent, lent)]
    device = np.where(world.uniform(bot, "rotating-device") < 0.5, MOBILE, DESKTOP)
    user, session = world.hash(bot, "rotating"), random_ids(rng, n)
    return _traffic(rng, "rotating", at, user[run], session[run], net, device[run], zone[run])


def _buyers(world: World, rng: Rng, day: int, expected: float) -> pl.DataFrame | None:
    """Accounts that keep people's hours from homes of their own, buy now and then, and send it all back."""
    n = rng.poisson(expected / 4.5)
    bot = rng.integers(0, max(1, round(expected / 6)), n) + (day // 30 << 32)
    zone = np.searchsorted(np.cumsum(POPULATION)[:-1], world.uniform(bot, "buyer-zone"), side="right")
    count = 1 + rng.poisson(3.5, n)
    run, at = sequence(world.moments(rng, day, zone), count, rng.lognormal(np.log(30_000), 0.7, count.sum()))
    net = world.home(_address_of(world, bot, zone))
    device = np.where(world.uniform(bot, "buyer-device") < 0.5, MOBILE, DESKTOP)
    user, session = world.hash(bot, "buyer"), random_ids(rng, n)
    login, buys = rng.random(n) < 0.85, np.full(len(run), 0.03)
    top_rfm = 6 + day % 30 // 5  # what they buy raises their score, though they return it
    return _traffic(
        rng, "buyer", at, user[run], session[run], net[run], device[run], zone[run], login[run], top_rfm, buys
    )


def _paced(world: World, rng: Rng, day: int, expected: float) -> pl.DataFrame | None:
    """Racks of six phones, each clicking every quarter of an hour or so, behind a /64 that changes every half hour."""
    phones, clicks = 6, 6
    racks = rng.poisson(expected / (phones * clicks))
    n = racks * phones
    rack = np.repeat(np.arange(racks), phones)
    zone = _zones(rng, racks)[rack]
    shift = world.midnight(day) + rng.integers(0, DAY - 3 * HOUR, racks)
    start = shift[rack] + rng.integers(0, 15 * MINUTE, n)
    run, at = sequence(start, np.full(n, clicks), rng.normal(14 * MINUTE, 1.5 * MINUTE, n * clicks))
    period = (at - shift[rack[run]]) // (30 * MINUTE)
    net = ipv6(world.hash(rack[run] | period << 24 | day << 36, "paced"))
    user, session = random_ids(rng, n), random_ids(rng, n)
    return _traffic(rng, "paced", at, user[run], session[run], net, np.full(len(run), MOBILE), zone[run])


ROBOTS = {
    "burst": Kind(0.055, 0.25, _bursts),
    "slow": Kind(0.06, 0.2, _slow),
    "farm": Kind(0.06, 0.25, _farms),
    "rotating": Kind(0.055, 0.2, _rotating),
    "buyer": Kind(0.03, 0.2, _buyers),
    "paced": Kind(0.15, 0.05, _paced),
}


def _zones(rng: Rng, n: int) -> I64:
    return rng.choice(len(POPULATION), n, p=POPULATION)


def _somebody(world: World, rng: Rng, zone: I64) -> U64:
    """Draw any person of each zone (n,)."""
    return (zone << 40 | rng.integers(0, world.residents[zone])).astype(np.uint64)


def _address_of(world: World, bot: I64, zone: I64) -> U64:
    """Give each robot (n,) the home of the person whose computer it has taken over."""
    victim = (world.uniform(bot, "victim") * world.residents[zone]).astype(np.int64)
    return (zone << 40 | victim).astype(np.uint64)


def _traffic(
    rng: Rng,
    kind: str,
    at: I64,
    user: U64,
    session: U64,
    net: U64,
    device: I64,
    zone: I64,
    logged_in: ArrayLike = False,
    top_rfm: int = 3,
    buys: ArrayLike = 0.0,
) -> pl.DataFrame | None:
    n = len(at)
    if n == 0:
        return None
    logged_in = np.broadcast_to(np.asarray(logged_in), n)
    rfm = 3 + (user >> np.uint64(20)).astype(np.int64) % (top_rfm - 2)
    return pl.DataFrame(
        {
            "at": at,
            "user": user,
            "session": session,
            "net": net,
            "device": device,
            "offset": OFFSETS[zone],
            "campaign": (rng.random(n) ** 2 * CAMPAIGNS).astype(np.uint8),
            "logged_in": logged_in,
            "rfm": pl.Series(np.where(logged_in, rfm, 0)).replace(0, None),
            "buys": np.broadcast_to(np.asarray(buys), n),
            "kind": np.full(n, KINDS.index(kind), np.uint8),
        },
        schema_overrides=TRAFFIC,
    )
