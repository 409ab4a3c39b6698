"""What each constraint costs, in words, from the duals of the relaxation."""

import numpy as np
from numpy.typing import NDArray

from headgate.domains.capacity.orders.plans import Price
from headgate.domains.capacity.orders.problem import Problem
from headgate.domains.capacity.orders.programme import Relaxed

Floats = NDArray[np.float64]

#: How many are told, and from which saving on.
TOLD, LEAST = 12, 1.0


def prices(case: Problem, relaxed: Relaxed) -> list[Price]:
    """The dearest constraints, the dearest first: of each the week in which it costs most, and all its weeks."""
    money, found = case.fleet.currency, dict[tuple[str, str], tuple[float, list[str]]]()

    def tell(each: Floats, begin: str, unit: float = 1.0, zone: str = "", end: str = "") -> None:
        """`each` [T] is what one unit more saves; `unit` of them make what the sentence speaks of."""
        total, week = float(each.sum() * unit), int(each.argmax())
        if total < LEAST:
            return
        weeks = int((each * unit > 0.01).sum())
        most = f"{each[week] * unit:,.0f} {money} in the week of {case.weeks[week]}"
        rest = f", and {total:,.0f} over {weeks} weeks" if weeks > 1 else ""
        _, zones = found.setdefault((begin, f"{end} would save {most}{rest}."), (total, []))
        zones.append(zone)  # what costs the same in each of them is told once

    for limit, each in zip(case.limits, relaxed.quota, strict=True):
        vcpus = min(int(case.vcpus[p]) for p in np.flatnonzero(limit.pools)) if limit.pools.any() else 1
        tell(each, f"A quota of {vcpus} vCPUs more of {limit.name}, one more instance", float(vcpus))
    for p, (zone, kind) in enumerate(case.pools):
        tell(relaxed.add[p], f"One more {kind} in ", zone=zone, end=" on the ramp up")
        tell(relaxed.remove[p], f"One more {kind} in ", zone=zone, end=" on the ramp down")
        lot = f"{case.lot[p]} {kind}" if case.lot[p] > 1 else f"A {kind}"
        tell(relaxed.early[p], f"{lot} in ", zone=zone, end=", reserved before the lead time,")
        tell(relaxed.unborn[p], f"One {kind} in ", zone=zone, end=" before it is to be had")
    by_service: dict[int, Floats] = {}
    for (s, _), each in zip(case.lost, relaxed.floor, strict=True):
        by_service[s] = by_service.get(s, np.zeros(len(case.weeks))) + each
    for s, each in by_service.items():
        name = case.services[s]
        tell(each * case.floor[s] / 100, f"A floor of {name} that is 1 % lower, whichever zone is lost,")
    told = [
        Price(round(total, 2), begin + " or ".join(", ".join(zones).rsplit(", ", 1)) + rest)
        for (begin, rest), (total, zones) in found.items()
    ]
    return sorted(told, key=lambda one: -one.saves)[:TOLD]
