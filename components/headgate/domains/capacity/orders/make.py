"""Make a plan: from a fleet, a version's forecast and what is ordered already, to orders that are checked."""

from collections.abc import Sequence
from datetime import UTC, date, datetime

import msgspec
import numpy as np
from numpy.typing import NDArray

from headgate.domains.capacity.orders import plans
from headgate.domains.capacity.orders.check import check_plan
from headgate.domains.capacity.orders.duals import prices
from headgate.domains.capacity.orders.fleet import Fleet
from headgate.domains.capacity.orders.lines import orders
from headgate.domains.capacity.orders.placed import Placed
from headgate.domains.capacity.orders.plans import Forecast, Plan
from headgate.domains.capacity.orders.problem import build
from headgate.domains.capacity.orders.solve import solve_problem
from headgate.errors import HeadgateError

Floats = NDArray[np.float64]


def with_placed(fleet: Fleet, known: Placed) -> Fleet:
    """The fleet with the reservations that earlier plans placed, as far as it has their zones and types."""
    more = [one for one in known.held if one.zone in fleet.zones and one.type in fleet.types]
    return msgspec.structs.replace(fleet, held=[*fleet.held, *more])


def make_plan(
    fleet: Fleet,
    weeks: Sequence[date],
    need: Floats,
    forecast: Forecast,
    known: Placed,
    *,
    last: Plan | None = None,
    gap: float = 0.01,
    seconds: float = 30.0,
) -> Plan:
    """The plan for needs [W, S, T], with the reservations that earlier plans placed; checked by counting.

    Raises DataRefused where limits leave no plan, HeadgateError where none is found or it is not what it says.
    """
    fleet = with_placed(fleet, known)
    case = build(fleet, tuple(weeks), need)
    solved = solve_problem(case, gap, seconds)
    made = Plan(
        id="",
        made=datetime.now(UTC).isoformat(timespec="seconds"),
        seconds=round(solved.seconds, 1),
        after=known.newest,
        weeks=list(weeks),
        currency=fleet.currency,
        forecast=forecast,
        cost=plans.cost(case, solved),
        bound=round(solved.bound, 2),
        gap=round(solved.gap, 6),
        mixes=plans.mixes(case, solved),
        pools=plans.pools(case, solved),
        services=plans.carries(case, solved),
        prices=prices(case, solved.relaxed),
        orders=orders(case, solved, known.scheduled),
        changed=[],
    )
    made = msgspec.structs.replace(made, changed=plans.changes(made, last))
    if wrong := check_plan(made, fleet):
        raise HeadgateError(
            f"The plan is not what it says ({len(wrong)} faults), and was not written: {wrong[0]}. Report it."
        )
    return plans.seal(made)
