"""A plan of orders: what runs where in which week, what it costs, and what to order for it. A file of JSON."""

import hashlib
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from headgate.domains.capacity.orders.headroom import add_headroom
from headgate.domains.capacity.orders.local_search import reserved
from headgate.domains.capacity.orders.problem import Problem
from headgate.domains.capacity.orders.shortage import expected
from headgate.domains.capacity.orders.solve import Solved
from headgate.errors import UsageError
from headgate.files import atomic_file

#: Where plans lie in the state folder, unless they are written elsewhere.
FOLDER = "orders"


class Forecast(msgspec.Struct, frozen=True, kw_only=True):
    """What the plan is made by."""

    version: int
    bundle: str
    ruling: str
    as_of: str
    calendar: str
    certified: bool
    scenarios: int


class Factor(msgspec.Struct, frozen=True):
    """A line of a service's headroom."""

    name: str
    value: float
    carried: str
    why: str


class Mix(msgspec.Struct, frozen=True):
    """Instances of a service in a zone with a type, by week."""

    service: str
    zone: str
    type: str
    group: str
    counts: list[int]


class Pool(msgspec.Struct, frozen=True):
    """All instances of a type in a zone, by week."""

    zone: str
    type: str
    running: list[int]
    reserved: list[int]
    on_demand: list[int]
    lots: list[int]  # that begin


class Carries(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a service needs and has by week, in units that full instances carry."""

    service: str
    median: list[float]  # of the need's scenarios
    quantile: list[float]
    floor: list[float]
    capacity: list[float]
    missing: list[float]  # by the measure of the fleet
    headroom: list[Factor]
    units_from: str = ""  # where the units are from, in words; left out where nobody told, as in plans of old


class Cost(msgspec.Struct, frozen=True):
    """What the plan costs, and what of that is where. Reservations that idle are in."""

    total: float
    on_demand: float
    reserved: float
    after: float  # of reservations, for weeks after the plan's that are of no use
    missing: float
    by_type: dict[str, float]
    by_zone: dict[str, float]
    by_week: list[float]


class Price(msgspec.Struct, frozen=True):
    """What a constraint costs, from the relaxation."""

    saves: float
    words: str


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """One order: a reservation of instances, or the size of an Auto Scaling group, from a day on."""

    line: str
    kind: str  # reservation or schedule
    region: str
    zone: str
    type: str
    start: date
    count: int
    weeks: int = 0  # reservation: how long it lasts
    vcpus: int = 0  # reservation: in all
    platform: str = ""
    group: str = ""  # schedule


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A plan. `id` is a digest of all but itself, `made` and `seconds`, so the same plan has the same id."""

    id: str
    made: str
    seconds: float
    after: int  # the newest order in the ledger that it knew of
    weeks: list[date]
    currency: str
    forecast: Forecast
    cost: Cost
    bound: float
    gap: float
    mixes: list[Mix]
    pools: list[Pool]
    services: list[Carries]
    prices: list[Price]
    orders: list[Order]
    changed: list[str]

    @property
    def money(self) -> str:
        """The sum for people."""
        return f"{self.cost.total:,.0f} {self.currency}"


def mixes(case: Problem, solved: Solved) -> list[Mix]:
    """The rows of instances that are ever used."""
    found = []
    for cell, counts in enumerate(solved.instances):
        if counts.any():
            zone, kind = case.pools[case.pool[cell]]
            service = case.services[case.service[cell]]
            found.append(Mix(service, zone, kind, case.fleet.asg(service, zone, kind), counts.tolist()))
    return found


def pools(case: Problem, solved: Solved) -> list[Pool]:
    """The rows of pools that are ever used or held."""
    running, there = (
        np.round(one).astype(int) for one in (case.pooled @ solved.instances, reserved(case, solved.begun))
    )
    found = []
    for p, (zone, kind) in enumerate(case.pools):
        if running[p].any() or there[p].any():
            extra = np.maximum(running[p] - there[p], 0)
            lots = solved.begun[p].tolist()
            found.append(Pool(zone, kind, running[p].tolist(), there[p].tolist(), extra.tolist(), lots))
    return found


def carries(case: Problem, solved: Solved) -> list[Carries]:
    """What every service needs and has."""
    capacity = case.carried @ solved.instances
    missing, middle = expected(case, capacity), np.quantile(case.need, 0.5, axis=0)
    high = np.quantile(case.need, case.fleet.shortage.quantile, axis=0)
    rows = [middle, high, case.floor, capacity, missing]
    return [
        Carries(
            name,
            *[np.round(row[s], 3).tolist() for row in rows],  # type: ignore[call-arg]
            [
                Factor(one.name, round(one.value, 6), one.carried, one.why)
                for one in add_headroom(case.fleet, name).items
            ],
            case.fleet.services[name].units_from,
        )
        for s, name in enumerate(case.services)
    ]


def cost(case: Problem, solved: Solved) -> Cost:
    """The plan's cost and its parts."""
    there = reserved(case, solved.begun)
    extra = np.maximum(case.pooled @ solved.instances - there, 0)
    bought, held = extra * case.on_demand[:, None], there * case.reserved[:, None]
    after = (solved.begun * case.beginning).sum() - ((there - case.held) * case.reserved[:, None]).sum()
    missing = float(case.missing @ expected(case, case.carried @ solved.instances).sum(axis=1))
    both = (bought + held).sum(axis=1)
    by: dict[str, dict[str, float]] = {"type": {}, "zone": {}}
    for (zone, kind), value in zip(case.pools, both, strict=True):
        by["zone"][zone] = round(by["zone"].get(zone, 0.0) + float(value), 2)
        by["type"][kind] = round(by["type"].get(kind, 0.0) + float(value), 2)
    parts = [round(float(value), 2) for value in (bought.sum(), held.sum(), after, missing)]
    weeks = np.round((bought + held).sum(axis=0), 2).tolist()
    total = round(sum(parts), 2)
    return Cost(total, parts[0], parts[1], parts[2], parts[3], by["type"], by["zone"], weeks)


def seal(plan: Plan) -> Plan:
    """The plan with its id."""
    content = msgspec.to_builtins(plan) | {"id": "", "made": "", "seconds": 0}
    return msgspec.structs.replace(
        plan, id=hashlib.sha256(msgspec.json.encode(content, order="sorted")).hexdigest()[:16]
    )


def write(plan: Plan, path: Path) -> None:
    """Write the plan, whole or not at all."""
    with atomic_file(path) as draft:
        draft.write_bytes(msgspec.json.format(msgspec.json.encode(plan), indent=1) + b"\n")


def read(path: Path) -> Plan:
    """The plan in a file. Raises UsageError where it is none, or was altered since it was made."""
    if not path.is_file():
        raise UsageError(f"There is no {path}: `headgate capacity orders plan` makes one.")
    try:
        plan = msgspec.json.decode(path.read_bytes(), type=Plan)
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        raise UsageError(f"{path} is no plan of orders ({error}): make it again.") from None
    if seal(plan).id != plan.id:
        raise UsageError(f"{path} is not as it was planned: change the fleet and plan again, not the plan.")
    return plan


def newest(home: Path) -> Path | None:
    """The file of the newest plan in the state folder `home`."""
    return max((home / FOLDER).glob("[!.]*.json"), key=lambda path: path.stat().st_mtime, default=None)


def latest(home: Path) -> Plan | None:
    """The newest plan in the state folder `home`; None where there is none, or its file is no plan any more."""
    file = newest(home)
    try:
        return read(file) if file else None
    except UsageError:
        return None


def number(count: int, thing: str) -> str:
    """So many things, in words."""
    return f"{count:,} {thing}{'' if count == 1 else 's'}"


def changes(plan: Plan, last: Plan | None) -> list[str]:
    """What is other than in the last plan, in words; for the weeks that both have."""
    if last is None:
        return []
    words = []
    if last.forecast.version != plan.forecast.version:
        words.append(f"It is made by version {plan.forecast.version}, the last by {last.forecast.version}.")
    if last.forecast.calendar != plan.forecast.calendar:
        words.append("The calendar is another.")
    common = [week for week in plan.weeks if week in last.weeks]
    if not common:
        return [*words, "It has no week in common with the last plan: their costs are of other weeks."]
    was, now = (sum(one.cost.by_week[one.weeks.index(week)] for week in common) for one in (last, plan))
    if (round(was), last.currency) != (round(now), plan.currency):
        span = f"the week of {common[0]}" if len(common) == 1 else f"the weeks of {common[0]} to {common[-1]}"
        cost = f"from {was:,.0f} {last.currency} to {now:,.0f} {plan.currency}"
        words.insert(0, f"In {span}, which both have, the cost goes {cost}, what is missing apart.")

    def summed(one: Plan) -> dict[tuple[str, str], Any]:
        at = [one.weeks.index(week) for week in common]
        return {(pool.zone, pool.type): np.array(pool.running)[at] for pool in one.pools}

    new, old = summed(plan), summed(last)
    none = np.zeros(len(common), int)
    moved = {key: new.get(key, none) - old.get(key, none) for key in sorted(new.keys() | old.keys())}
    far = sorted(moved, key=lambda key: -int(np.abs(moved[key]).max()))
    for zone, kind in [key for key in far if moved[key].any()][:5]:
        week = int(np.abs(moved[zone, kind]).argmax())
        words.append(f"{moved[zone, kind][week]:+d} {kind} in {zone} in the week of {common[week]}.")
    return words
