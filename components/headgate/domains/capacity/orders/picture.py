"""A plan as a picture: capacity against demand, and what it costs."""

from pathlib import Path

import numpy as np

from headgate.domains.capacity.orders.plans import Plan, number
from headgate.files import atomic_file


def draw(plan: Plan, out: Path) -> None:
    """Draw the plan to a .png, .svg or .pdf: services' capacity and floors over their need, and the cost by week."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 6.4), layout="constrained")
    FigureCanvasAgg(figure)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    weeks = np.arange(len(plan.weeks))
    need = {
        name: np.array([getattr(row, name) for row in plan.services]).sum(axis=0) for name in ("median", "quantile")
    }
    capacity, floor = (
        np.array([getattr(row, name) for row in plan.services]).sum(axis=0) for name in ("capacity", "floor")
    )
    edges = np.arange(len(weeks) + 1) - 0.5
    above.stairs(capacity, edges, baseline=None, color="#1b4965", lw=2, label="capacity, all zones there")
    above.stairs(floor, edges, baseline=None, color="#c1121f", lw=1.2, ls="--", label="floor when any zone is lost")
    above.stairs(
        need["quantile"],
        edges,
        baseline=need["median"],
        fill=True,
        color="#5fa8d3",
        alpha=0.5,
        zorder=0.5,  # below the lines
        label="need, median to quantile",
    )
    above.set_ylim(0, 1.15 * max(capacity.max(), need["quantile"].max()))  # room for the legend
    above.set_ylabel("units that full instances carry")
    above.legend(loc="upper left", frameon=False, ncols=3)
    above.set_title(
        f"{number(len(plan.services), 'service')}: {plan.money} for {number(len(plan.weeks), 'week')}", loc="left"
    )
    running = np.array([pool.running for pool in plan.pools]).sum(axis=0)
    extra = np.array([pool.on_demand for pool in plan.pools]).sum(axis=0)
    below.bar(weeks, running - extra, color="#1b4965", label="running on reservations")
    below.bar(weeks, extra, bottom=running - extra, color="#f4a259", label="running on demand")
    below.set_ylim(0, 1.25 * max(running.max(), 1))
    below.set_ylabel("instances")
    below.legend(loc="upper left", frameon=False, ncols=2)
    cost = below.twinx()
    cost.plot(weeks, plan.cost.by_week, color="#333333", marker="o", ms=3, lw=1)
    cost.set_ylim(0, 1.25 * max(*plan.cost.by_week, 1))
    cost.set_ylabel(f"{plan.currency} a week (line)")
    for axes in (above, below, cost):
        axes.yaxis.set_major_formatter("{x:,.0f}")
    below.set_xticks(weeks, [f"{week:%d %b}" for week in plan.weeks], rotation=30)
    with atomic_file(out) as draft:
        figure.savefig(draft, dpi=110)
