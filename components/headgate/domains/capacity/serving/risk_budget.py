"""One risk budget for a window, spread over services where it saves most.

Service i gets the capacity Cᵢ(rᵢ) that the window's largest step exceeds with the chance rᵢ, and

    minimise  Σ priceᵢ · Cᵢ(rᵢ)   subject to   Σ rᵢ ≤ budget

The union bound makes that honest without knowing how services move together: Σ rᵢ is the expected number of services
that run short, and so at least the chance that any does. The programme is convex where Cᵢ is, as upper tails are that
thin out. Where simulated paths say otherwise (noise, or a second hump), the lower convex envelope of the curve stands
in for it. Shares then lie at corners of envelopes, which lie on the curves, for all services but one at most; each
capacity is read off the paths themselves, so an envelope can cost a little and never hides a risk. (An exact choice on
the curves themselves saved no more on other paths: what it gains over the envelope is noise.)

A programme that picks where the quantiles of its paths are low by luck would overspend: 7 to 22 % of the budget with
2,000 lognormal paths for each of 5 to 20 services. So one half of the paths decides the shares, and the other what
capacity a share takes: of m paths, the k-th largest is exceeded by the next with a chance of k / (m + 1).
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression

from headgate.calibration.budget import cvxpy, percent
from headgate.domains.capacity.companions.calendar import Event
from headgate.domains.capacity.model import peaks
from headgate.domains.capacity.model.forecaster import Forecaster
from headgate.errors import HeadgateError, UsageError

Floats = NDArray[np.float64]

#: Each half of the paths is drawn with so many seeds, `peaks.PATHS` by each.
SEEDS = 5


@dataclass(frozen=True)
class Spread:
    """What each of n services gets: capacities are in its own unit, a price is what one unit of it costs."""

    paths: int  # that capacities were read off
    price: Floats  # [n]
    expected: Floats  # [n] the mean of the window's largest step
    risk: Floats  # [n] the chance that it exceeds the capacity
    capacity: Floats  # [n]
    even: Floats  # [n] the capacity at an even share of the budget
    seen: NDArray[np.int64]  # [n] how many different largest steps the paths have: with few origins, few
    slope: float  # what one more unit of risk saves at most, and one less costs at least

    @property
    def cost(self) -> float:
        """Σ price · capacity."""
        return float(self.price @ self.capacity)

    @property
    def even_cost(self) -> float:
        """The same for the even spread, never less."""
        return float(self.price @ self.even)

    @property
    def saved(self) -> float:
        """The part of `even_cost` that is not spent."""
        return 1 - self.cost / self.even_cost if self.even_cost else 0.0

    def rows(self, names: Sequence[str]) -> list[dict[str, Any]]:
        """One a service, as plain values; `headroom` is the part of the expected peak that is kept above it."""
        headroom = self.capacity / np.where(self.expected > 0, self.expected, np.inf) - 1
        columns = {
            "cost": self.price,
            "expected_peak": self.expected,
            "capacity": self.capacity,
            "headroom": headroom,
            "risk": self.risk,
            "even_capacity": self.even,
            "different_peaks": self.seen,
        }
        return [
            {"series": name} | {key: column[i].item() for key, column in columns.items()}
            for i, name in enumerate(names)
        ]


def plan(
    forecaster: Forecaster,
    names: Sequence[str],
    start: datetime,
    end: datetime,
    price: Sequence[float],
    budget: float,
    calendar: Sequence[Event] | None = None,
) -> tuple[Spread, bool]:
    """The spread of `budget` over the series `names` for [start, end), and whether origins reached as far ahead.

    Raises UsageError for a budget that cannot be told, DataRefused for a series whose peaks no origin could show.
    """
    affordable(budget, len(names), SEEDS * peaks.PATHS)  # asked before the work
    said = [forecaster.forecast(name, start, end, levels=(0.5,), calendar=calendar) for name in names]
    drawn = np.stack([forecaster.largest(one, end, range(2 * SEEDS)) for one in said])
    return spread(drawn, np.array(price, np.float64), budget), all(one.certified for one in said)


def affordable(budget: float, services: int, paths: int) -> int:
    """How many of `paths` + 1 paths may run short, over all services: what a budget buys.

    Raises UsageError for a budget that is no chance, or leaves a service less than one path.
    """
    if not 0 < budget < 1:
        raise UsageError(f"A risk of {budget:g} is no chance that can be spent: name one between 0 and 1, e.g. 0.05.")
    bought = int(np.floor(budget * (paths + 1) + 1e-9))  # the slack keeps 0.1 × 30 at 3
    if bought < services:
        smallest = np.ceil(1e6 * services / (paths + 1)) / 1e6  # rounded up, so that it is affordable as printed
        what = "1 service" if services == 1 else f"{services:,} services"
        raise UsageError(
            f"A risk of {percent(budget)} is finer than {paths:,} paths can tell for {what}: "
            f"the smallest is {smallest:g}. Ask for that, or for fewer services."
        )
    return bought


def spread(drawn: Floats, price: Floats, budget: float) -> Spread:
    """Spread `budget` over n services with prices [n] > 0, from the largest steps `drawn` [n, 2·m] of simulated paths.

    The first m decide the shares, the others tell the capacities. Where the even spread turns out to be no dearer on
    these, it is the answer. Raises UsageError as `affordable` does.
    """
    n, m = drawn.shape[0], drawn.shape[1] // 2
    decides, tells = (-np.sort(-half, axis=1) for half in (drawn[:, :m], drawn[:, m:]))  # [n, m], the largest first
    bought = affordable(budget, n, m)
    rank, slope = _ranks(price[:, None] * decides[:, : bought - n + 2], bought)
    capacity, even = tells[np.arange(n), rank - 1], tells[:, bought // n - 1]
    if price @ capacity >= price @ even:
        rank, capacity = np.full(n, bought // n), even
    seen = 1 + (np.diff(tells, axis=1) < 0).sum(axis=1)
    return Spread(m, price, tells.mean(axis=1), rank / (m + 1), capacity, even, seen, slope * (m + 1))


def _ranks(cost: Floats, bought: int) -> tuple[NDArray[np.int64], float]:
    """The rank [n] of the path that each service is sized for, Σ rank ≤ `bought`, and what one more path would save.

    `cost` [n, k] falls with the rank. An epigraph programme: minimise Σ tᵢ where tᵢ lies above every line of i's
    envelope. Isotonic regression of a curve's steps gives the slopes of its lower convex envelope.
    """
    cp = cvxpy()
    of, slope, height = [], [], []
    for i, curve in enumerate(cost):
        steps = isotonic_regression(np.diff(curve))
        corner = steps.blocks[:-1]
        envelope = np.concatenate([[0.0], np.cumsum(steps.x)])
        of.append(np.full(len(corner), i))
        slope.append(steps.x[corner])
        height.append(envelope[corner] - steps.x[corner] * corner)  # of the line at rank one
    line, m, b = np.concatenate(of), np.concatenate(slope), np.concatenate(height)
    scale = np.abs(m).max() or 1.0  # the steepest slope is one, whatever a unit costs
    t, beyond = cp.Variable(len(cost)), cp.Variable(len(cost), nonneg=True)  # beyond rank one
    limit = cp.sum(beyond) <= bought - len(cost)
    problem = cp.Problem(cp.Minimize(cp.sum(t)), [limit, t[line] >= b / scale + cp.multiply(m / scale, beyond[line])])
    problem.solve(solver=cp.HIGHS)
    if beyond.value is None:
        raise HeadgateError(f"The solver found no spread of the risk ({problem.status}); ask for another budget.")
    return 1 + np.floor(beyond.value + 1e-6).astype(np.int64), float(abs(limit.dual_value) * scale)


def prices(given: Sequence[str]) -> dict[str, float]:
    """What a unit costs by series, from `series=price` and from CSV files with the columns series and cost.

    Raises UsageError for what is neither, is no positive number, or names a series twice.
    """
    listed: list[tuple[str, str]] = []
    for one in given:
        if Path(one).is_file():
            with Path(one).open(encoding="utf-8-sig", newline="") as file:
                table = csv.DictReader(file)
                if not {"series", "cost"} <= set(table.fieldnames or ()):
                    raise UsageError(f"{one} has no columns series and cost: its first line must name both.")
                listed += [(row["series"] or "", row["cost"] or "") for row in table]
        elif "=" in one:
            name, _, price = one.rpartition("=")
            listed.append((name, price))
        else:
            raise UsageError(f"--cost {one} is neither a file that exists nor series=price.")
    found: dict[str, float] = {}
    for name, text in listed:
        if name in found:
            raise UsageError(f"{name} has two costs: leave one of them out.")
        found[name] = _price(name, text)
    return found


def _price(name: str, text: str) -> float:
    try:
        price = float(text)
    except ValueError:
        price = 0.0
    if not 0 < price < np.inf:
        raise UsageError(f"The cost of {name} is {text!r}: it must be a number above zero.")
    return price


def asked(forecaster: Forecaster, series: Sequence[str], price: dict[str, float]) -> dict[str, float]:
    """The series to size with what a unit of each costs: those named, else those with a price, else the finest.

    Without any price a unit costs 1 everywhere. Raises UsageError for a series without a price where others have one,
    and where none has but units or steps differ, so that costs could not be added up.
    """
    finest = min(model.step for model in forecaster.models)
    every = [one.series for one in forecaster.series if one.step == finest]
    names = list(dict.fromkeys(series or price or every))
    if price:
        if missing := [name for name in names if name not in price]:
            raise UsageError(f"{missing[0]} has no cost: add --cost '{missing[0]}=PRICE'.")
        return {name: price[name] for name in names}
    first = [(model, columns[0]) for model, columns in (forecaster.parts(name)[0] for name in names)]
    if len({(model.step, model.series[j].unit) for model, j in first}) > 1:
        raise UsageError("These series differ in unit or step: say with --cost what one unit of each costs.")
    return dict.fromkeys(names, 1.0)
