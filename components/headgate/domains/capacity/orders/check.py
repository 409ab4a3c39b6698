"""Is the plan what it says? Everything is counted again, service by service, week by week, zone by zone.

Nothing of the programme is used here: only the fleet, the plan's numbers, and sums. What is found is told in words.
"""

from collections import defaultdict
from collections.abc import Iterator
from datetime import date
from itertools import pairwise

from headgate.domains.capacity.orders.fleet import Fleet
from headgate.domains.capacity.orders.plans import Plan

#: How far a sum of the plan's rounded numbers may be off.
ROUNDED = 0.01


def check_plan(plan: Plan, fleet: Fleet) -> list[str]:
    """What is wrong with the plan; empty if nothing is."""
    return [
        *_losses(plan, fleet),
        *_pools(plan, fleet),
        *_quotas(plan, fleet),
        *_ramps(plan, fleet),
        *_reservations(plan, fleet),
    ]


def _losses(plan: Plan, fleet: Fleet) -> Iterator[str]:
    """Every service, every week, every zone that may be lost: is the floor kept?"""
    for row in plan.services:
        service = fleet.services[row.service]
        mine = [mix for mix in plan.mixes if mix.service == row.service]
        for t, week in enumerate(plan.weeks):
            there: dict[str, float] = defaultdict(float)
            for mix in mine:
                there[mix.zone] += mix.counts[t] * fleet.units(row.service, mix.type)
            if abs(sum(there.values()) - row.capacity[t]) > ROUNDED:
                yield f"{row.service}, {week}: it has {sum(there.values()):,.1f} units, not {row.capacity[t]:,.1f}"
            if abs(service.floor * row.quantile[t] - row.floor[t]) > ROUNDED:
                yield f"{row.service}, {week}: {row.floor[t]:,.1f} is not the floor of {row.quantile[t]:,.1f}"
            if strange := there.keys() - set(fleet.regions[service.region]):
                yield f"{row.service}, {week}: it runs in {min(strange)}, outside of {service.region}"
            for lost in fleet.regions[service.region] if service.floor else []:
                left = sum(units for zone, units in there.items() if zone != lost)
                if left < row.floor[t] - ROUNDED:
                    yield f"{row.service}, {week}: without {lost} {left:,.1f} units are left of {row.floor[t]:,.1f}"


def _pools(plan: Plan, fleet: Fleet) -> Iterator[str]:
    """Pools are the sums of services, and on demand is what reservations do not hold."""
    running: dict[tuple[str, str, int], int] = defaultdict(int)
    for mix in plan.mixes:
        for t, count in enumerate(mix.counts):
            first = fleet.types[mix.type].first_week
            if count < 0 or (count and first is not None and plan.weeks[t] < first):
                yield f"{mix.service}, {plan.weeks[t]}: {count} {mix.type} cannot run then"
            running[mix.zone, mix.type, t] += count
    for pool in plan.pools:
        for t, week in enumerate(plan.weeks):
            have = running.pop((pool.zone, pool.type, t), 0)
            if have != pool.running[t] or pool.on_demand[t] != max(0, have - pool.reserved[t]):
                yield f"{pool.type} in {pool.zone}, {week}: {have} run, of which {pool.on_demand[t]} are on demand"
    if any(running.values()):
        yield f"{len(running)} instances run in pools that the plan does not list"


def _quotas(plan: Plan, fleet: Fleet) -> Iterator[str]:
    for quota in fleet.quotas:
        for t, week in enumerate(plan.weeks):
            used = sum(
                (pool.reserved[t] + pool.on_demand[t]) * fleet.types[pool.type].vcpus
                for pool in plan.pools
                if fleet.types[pool.type].family == quota.family and quota.where in (pool.zone, fleet.region(pool.zone))
            )
            if used > quota.vcpus:
                yield f"{quota.family} in {quota.where}, {week}: {used:,} vCPUs, and the quota is {quota.vcpus:,}"


def _ramps(plan: Plan, fleet: Fleet) -> Iterator[str]:
    before: dict[tuple[str, str], int] = defaultdict(int)
    for row in fleet.running or []:
        before[row.zone, row.type] += row.count
    known = {(pool.zone, pool.type): pool.running for pool in plan.pools}
    for zone, kind in [(zone, kind) for zone in fleet.zones for kind in fleet.types if kind in fleet.ramps]:
        counts = known.get((zone, kind), [0] * len(plan.weeks))
        counts = counts if fleet.running is None else [before[zone, kind], *counts]
        for first, then in pairwise(counts):
            ramp = fleet.ramps[kind]
            if not -ramp.remove <= then - first <= ramp.add:
                yield f"{kind} in {zone}: from {first} to {then} in a week is beyond its ramp"


def _reservations(plan: Plan, fleet: Fleet) -> Iterator[str]:
    """Reservations are those held and whole lots that began, after their lead time and not too long ago."""
    for pool in plan.pools:
        kind = fleet.types[pool.type]
        for t, week in enumerate(plan.weeks):
            held = sum(
                one.count
                for one in fleet.held
                if (one.type, one.zone) == (pool.type, pool.zone)
                and (one.start or date.min) <= week < (one.end or date.max)
            )
            lots = sum(pool.lots[max(0, t + 1 - kind.commitment_weeks) : t + 1])
            if pool.reserved[t] != held + lots * kind.lot:
                yield f"{pool.type} in {pool.zone}, {week}: {pool.reserved[t]} reserved, not {held + lots * kind.lot}"
            if pool.lots[t] < 0 or (pool.lots[t] and t < kind.lead_weeks):
                yield f"{pool.type} in {pool.zone}, {week}: a lot begins before its lead time"
