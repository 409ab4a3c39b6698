"""A plan as single orders: reservations that begin, and sizes of Auto Scaling groups that change."""

from collections.abc import Mapping
from datetime import date

import msgspec

from headgate.domains.capacity.orders.plans import Order
from headgate.domains.capacity.orders.problem import Problem
from headgate.domains.capacity.orders.solve import Solved

#: What one EC2 reservation may hold at most.
MOST = 1000


def orders(case: Problem, solved: Solved, scheduled: Mapping[tuple[str, date], int]) -> list[Order]:
    """The orders of a plan, by day.

    `scheduled` is what earlier plans ordered: the size of a group from a day on. A size is ordered in the plan's first
    week, where it changes, and where an earlier order would change it.
    """
    found: list[Order] = []
    for p, (zone, kind) in enumerate(case.pools):
        told = case.fleet.types[kind]
        for t, week in enumerate(case.weeks):
            count = int(solved.begun[p, t] * case.lot[p])
            for part in [min(MOST, count - first) for first in range(0, count, MOST)]:
                found.append(
                    Order(
                        line="",
                        kind="reservation",
                        region=case.fleet.region(zone),
                        zone=zone,
                        type=kind,
                        start=week,
                        count=part,
                        weeks=told.commitment_weeks,
                        vcpus=part * told.vcpus,
                        platform=told.platform,
                    )
                )
    earlier: dict[str, int] = {}  # the size that a group has as the plan begins
    for (group, day), size in sorted(scheduled.items(), key=lambda one: one[0][1]):
        if day < case.weeks[0]:
            earlier[group] = size
    known = {group for group, _ in scheduled}
    for cell, counts in enumerate(solved.instances):
        zone, kind = case.pools[case.pool[cell]]
        group = case.fleet.asg(case.services[case.service[cell]], zone, kind)
        if not counts.any() and group not in known:
            continue
        for t, week in enumerate(case.weeks):
            count = int(counts[t])
            until_now = int(counts[t - 1]) if t else earlier.get(group)
            if count != scheduled.get((group, week), until_now):
                place = {"region": case.fleet.region(zone), "zone": zone, "type": kind}
                found.append(Order(line="", kind="schedule", start=week, count=count, group=group, **place))
    found.sort(key=lambda one: (one.start, one.kind, one.zone, one.type, one.group))
    return [msgspec.structs.replace(one, line=f"{number:05d}") for number, one in enumerate(found, 1)]
