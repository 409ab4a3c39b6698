"""What missing units cost as a function of capacity: convex, piecewise linear, and so a few rows of the programme.

Let d₁ ≥ d₂ ≥ … be the scenarios of a service's need in a week. The expected shortage of a capacity C is

    g(C) = Σᵢ max(0, dᵢ - C) / W  =  max over j of  (d₁ + … + dⱼ - j·C) / W,   j = 0 … W

exactly, so the epigraph needs lines and no variable a scenario. CVaR, the mean of the worst m scenarios, is the same
with j ≤ m and weights 1/m, for the worst shortages are those of the largest needs. It is taken for each service and
week by itself; their sum is at least the CVaR of the sum (it is subadditive), so the price is never too low.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from headgate.domains.capacity.orders.problem import Problem

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: Lines a service and week at most; of more, evenly chosen ones bound g from below.
LINES = 48


@dataclass(frozen=True)
class Lines:
    """g of service `service[i]` in week `week[i]` lies on or above height[i] - slope[i] · C, for n lines."""

    service: Ints
    week: Ints
    slope: Floats
    height: Floats


def worst(case: Problem) -> Floats:
    """The scenarios [m, S, T] that count, the largest first: all, or of CVaR the worst."""
    told = case.fleet.shortage
    ordered = -np.sort(-case.need, axis=0)
    count = len(ordered) if told.measure == "expected" else max(1, int(np.ceil(told.tail * len(ordered) - 1e-9)))
    return ordered[:count]


def expected(case: Problem, capacity: Floats) -> Floats:
    """g [S, T] at capacities [S, T], without any line left out."""
    return np.asarray(np.maximum(worst(case) - capacity, 0.0).mean(axis=0))


def lines(case: Problem) -> Lines:
    """The lines that can matter: capacity is never below what the loss of a zone asks for."""
    drawn = worst(case)
    zones = np.array([len(case.fleet.regions[case.fleet.services[name].region]) for name in case.services])
    least = case.floor * np.where(zones > 1, zones / np.maximum(zones - 1, 1), 1.0)[:, None]
    total = np.cumsum(drawn, axis=0)
    found = []
    for s, t in np.argwhere(np.ones(least.shape, bool)):
        reach = int((drawn[:, s, t] > least[s, t]).sum())
        if not reach or not case.missing[s]:
            continue
        j = np.unique(np.linspace(1, reach, min(reach, LINES)).round().astype(int))
        found.append(np.column_stack([np.full(len(j), s), np.full(len(j), t), j, total[j - 1, s, t]]))
    table = np.concatenate(found) if found else np.zeros((0, 4))
    service, week = table[:, 0].astype(np.int64), table[:, 1].astype(np.int64)
    return Lines(service, week, table[:, 2] / len(drawn), table[:, 3] / len(drawn))
