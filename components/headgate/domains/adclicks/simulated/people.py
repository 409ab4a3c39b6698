"""The simulated people: when they click, from where, on what, and how likely they are to buy."""

from collections.abc import Iterator

import numpy as np
import polars as pl
from scipy.special import ndtri

from headgate.domains.adclicks.simulated.world import (
    CAMPAIGNS,
    DESKTOP,
    F64,
    I64,
    MOBILE,
    OFFSETS,
    OTHER,
    POPULATION,
    TABLET,
    TRAFFIC,
    U64,
    World,
    ipv4,
    random_ids,
    sequence,
)

HUMAN_SHARE = 0.73  # of the clicks of a usual weekday
_CLICKS_PER_SESSION = 2.09
_CONVERSION = 0.054  # of a person with an average purse, on a day without a sale
_DEVICES = np.array([MOBILE, DESKTOP, TABLET, OTHER])
_DEVICE_SHARES = np.cumsum([0.58, 0.32, 0.07, 0.03])


def people(world: World, day: int, *, moved: bool = False) -> Iterator[pl.DataFrame]:
    """Draw the human clicks of a day, one zone after another (columns: TRAFFIC).

    With `moved`, a tenth of all people reach us through one new carrier's three addresses.
    """
    sale = world.is_sale(day)
    usual = world.clicks_per_day * HUMAN_SHARE / _CLICKS_PER_SESSION
    expected = usual * world.drift("people", day, sigma=0.04, memory=0.7) * (1.5 if sale else 1.0)
    for zone, share in enumerate(POPULATION):
        rng = world.rng("people", day, zone)
        sessions = rng.poisson(expected * share * world.rhythm(day, zone).mean())
        if sessions:
            yield _sessions(world, rng, day, zone, sessions, 1.3 if sale else 1.0, moved)


def _sessions(
    world: World, rng: np.random.Generator, day: int, zone: int, n: int, eagerness: float, moved: bool
) -> pl.DataFrame:
    person = _who(world, rng, zone, n)
    start = world.moments(rng, day, np.full(n, zone))
    device = _device(world, rng, person)
    net = _network(world, rng, zone, person, device, start)
    if moved:
        move = world.uniform(person, "moved") < 0.1
        net = np.where(move, ipv4(world.hash(person % np.uint64(3), "new-gateway")), net)

    purse = ndtri(world.uniform(person, "purse"))  # a standard normal: how willing to spend
    account = world.uniform(person, "account") < 0.55 + 0.08 * purse
    logged_in = account & (rng.random(n) < 0.8)
    buys = _CONVERSION * eagerness * np.exp(0.8 * purse - 0.32) * np.where(account, 1.15, 0.8)

    # A few people click a lot within one visit: clicks a session are geometric with a mean that differs by person.
    more = 0.72 * np.exp(0.9 * ndtri(world.uniform(person, "curious")))
    count = np.minimum(rng.geometric(1 / (1 + more)), 60)
    gap = np.minimum(rng.lognormal(np.log(40_000), 1.0, count.sum()), 25 * 60_000)
    visit, at = sequence(start, count, gap)

    session = random_ids(rng, n)
    clicks = len(visit)
    favourite = world.uniform(person, "campaign")[visit]
    campaign = np.where(rng.random(clicks) < 0.5, favourite, rng.random(clicks)) ** 2 * CAMPAIGNS
    return pl.DataFrame(
        {
            "at": at,
            "user": world.hash(person, "user")[visit],
            "session": session[visit],
            "net": net[visit],
            "device": device[visit],
            "offset": np.full(clicks, OFFSETS[zone]),
            "campaign": campaign.astype(np.uint8),
            "logged_in": logged_in[visit],
            "rfm": pl.Series(np.where(logged_in, _rfm(world, person, purse, day), 0)[visit]).replace(0, None),
            "buys": np.minimum(buys, 0.5)[visit],
            "kind": np.zeros(clicks, np.uint8),
        },
        schema_overrides=TRAFFIC,
    )


def _who(world: World, rng: np.random.Generator, zone: int, n: int) -> U64:
    """Draw who clicks: activity falls off as (rank + c)^-0.6, so the keenest come about fourteen times the mean."""
    c, power = 0.003, 0.4
    low, high = c**power, (1 + c) ** power
    rank = (low + rng.random(n) * (high - low)) ** (1 / power) - c
    number: U64 = np.clip(rank * world.residents[zone], 0, world.residents[zone] - 1).astype(np.uint64)
    return number | np.uint64(zone << 40)


def _device(world: World, rng: np.random.Generator, person: U64) -> I64:
    usual = np.searchsorted(_DEVICE_SHARES, world.uniform(person, "device"), side="right")
    today = np.searchsorted(_DEVICE_SHARES, rng.random(len(person)), side="right")
    return _DEVICES[np.minimum(np.where(rng.random(len(person)) < 0.85, usual, today), 3)]


def _network(world: World, rng: np.random.Generator, zone: int, person: U64, device: I64, start: I64) -> U64:
    """Place each session at home, behind its person's carrier, or in working hours behind the office."""
    local = start // 60_000 + OFFSETS[zone]
    weekday, hour = (local // 1440 + 3) % 7, local % 1440 // 60  # 1 January 1970 was a Thursday
    working = (weekday < 5) & (hour >= 9) & (hour < 18) & (world.uniform(person, "employed") < 0.35)
    roaming = (device == MOBILE) & (rng.random(len(person)) < 0.5)
    net = np.where(roaming, world.carrier(zone, world.uniform(person, "carrier")), world.home(person))
    place: U64 = np.where(working & ~roaming, world.office(zone, world.uniform(person, "office")), net)
    return place


def _rfm(world: World, person: U64, purse: F64, day: int) -> I64:
    """Score recency + frequency + monetary value: quintiles 1 … 5 that follow the purse; recency moves by the week."""
    week = (person * np.uint64(1009)) ^ np.uint64(day // 7)
    noises = (world.uniform(week, "recency"), world.uniform(person, "frequency"), world.uniform(person, "monetary"))
    edges = ndtri([0.2, 0.4, 0.6, 0.8])
    quintiles = [1 + np.searchsorted(edges, 0.7 * purse + 0.714 * ndtri(noise)) for noise in noises]
    score: I64 = np.sum(quintiles, axis=0)
    return score
