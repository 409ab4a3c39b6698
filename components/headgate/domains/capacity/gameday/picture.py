"""A game day as a picture: latency over rate with the limit, and below it the path of the event."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from headgate.domains.capacity.gameday.report import GameDay, Rehearsal
from headgate.files import atomic_file

_BLUE, _ORANGE, _GREY, _RED = "#0b5394", "#e07b00", "#888888", "#a61c3c"


def draw(made: GameDay, path: Path) -> None:
    """Draw `made` as a PNG at `path`."""
    panels = 1 if made.rehearsal is None else 2
    figure = Figure(figsize=(9.2, 4.2 * panels), layout="constrained", dpi=100)
    axes = np.atleast_1d(figure.subplots(panels, 1))
    _search(axes[0], made)
    if made.rehearsal is not None:
        _path(axes[1], made, made.rehearsal)
    figure.suptitle(f"Game day {made.event} at {made.target}: {made.series}", fontsize=11)
    with atomic_file(path) as draft:
        figure.savefig(draft, format="png", metadata={"Software": None})


def _search(axes: Axes, made: GameDay) -> None:
    axes.set_title(f"Every step: {made.objective.partition(' ')[0]} over rate", fontsize=10, loc="left")
    for broke, colour, label in ((False, _BLUE, "kept"), (True, _RED, "broke")):
        mine = [step for step in made.steps if bool(step.why) is broke]
        told = [(step.rate, step.latency) for step in mine if step.latency is not None]
        axes.plot(*np.array(told).reshape(-1, 2).T, "o", color=colour, ms=5, alpha=0.75, label=label)
        drowned = [step.rate for step in mine if step.latency is None]
        if drowned:
            edge = axes.get_xaxis_transform()  # at the upper edge: they have no latency
            axes.plot(
                drowned,
                [0.96] * len(drowned),
                "^",
                color=colour,
                ms=7,
                transform=edge,
                label="too few were answered to tell",
            )
    axes.axhline(made.milliseconds, color=_GREY, lw=1, ls="--", label=made.objective)
    if made.found and made.rate is not None:
        axes.axvline(made.rate, color=_ORANGE, lw=1.4)
        axes.annotate(
            f"{made.rate:,.0f}/s ",
            (made.rate, 0.03),
            xycoords=("data", "axes fraction"),
            ha="right",
            color=_ORANGE,
            weight="bold",
        )
    axes.set(xscale="log", yscale="log", xlabel="requests a second", ylabel="ms")
    axes.margins(0.08)
    _few_ticks(axes.xaxis)
    _few_ticks(axes.yaxis)
    axes.grid(alpha=0.3)
    axes.legend(loc="upper right", bbox_to_anchor=(1.0, -0.09), ncols=2, fontsize=8, frameon=False)


def _few_ticks(axis: Axis) -> None:
    """A few plain numbers on a logarithmic axis, however narrow its range."""
    axis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=8))
    low, high = axis.get_view_interval()
    if high < 5 * low:
        axis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter("{x:,g}")


def _path(axes: Axes, made: GameDay, one: Rehearsal) -> None:
    axes.set_title(
        f"The {100 * one.quantile:g} % path from {one.start} to {one.end}, its peak at {one.peak:,.0f}/s",
        fontsize=10,
        loc="left",
    )
    at = (np.arange(len(one.windows)) + 0.5) / len(one.windows)
    axes.fill_between(at, [window.rate for window in one.windows], step="mid", color=_ORANGE, alpha=0.25)
    axes.set(ylabel="requests a second (area)", xlim=(0, 1), ylim=(0, 1.25 * one.peak))
    ticks = np.linspace(0, len(one.windows) - 1, min(6, len(one.windows))).round().astype(int)
    axes.set_xticks(
        (ticks + 0.5) / len(one.windows), [one.windows[tick].at.replace("T", " ") for tick in ticks], size=8
    )
    beside = axes.twinx()
    height = np.array([np.nan if window.latency is None else window.latency for window in one.windows])
    beside.plot(at, height, color=_BLUE, lw=1.2, marker="o", ms=3, label=made.objective.partition(" ")[0])
    broke = np.array([bool(window.why) for window in one.windows])
    if broke.any():
        beside.plot(at[broke], height[broke], "o", color=_RED, ms=5, label="broke")
    silent = np.isnan(height) & broke
    if silent.any():
        edge = beside.get_xaxis_transform()
        beside.plot(
            at[silent], [0.96] * silent.sum(), "^", color=_RED, ms=6, transform=edge, label="too few were answered"
        )
    beside.axhline(made.milliseconds, color=_GREY, lw=1, ls="--", label=made.objective)
    beside.set(ylabel="ms", yscale="log")
    beside.margins(y=0.1)
    _few_ticks(beside.yaxis)
    beside.legend(loc="upper center", bbox_to_anchor=(0.5, -0.07), ncols=4, fontsize=8, frameon=False)
