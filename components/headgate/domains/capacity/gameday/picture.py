"""A game day as a picture: latency over rate with the limit, and below it the path of the event."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

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
    known = [step.latency for step in made.steps if step.latency is not None]
    above = 2 * max([*known, made.milliseconds])  # where those stand of which too few were answered
    for broke, colour, label in ((False, _BLUE, "kept"), (True, _RED, "broke")):
        mine = [step for step in made.steps if bool(step.why) is broke]
        told = [(step.rate, step.latency) for step in mine if step.latency is not None]
        axes.plot(*np.array(told).reshape(-1, 2).T, "o", color=colour, ms=5, alpha=0.75, label=label)
        drowned = [step.rate for step in mine if step.latency is None]
        if drowned:
            axes.plot(drowned, [above] * len(drowned), "^", color=colour, ms=7, label="too few were answered")
    axes.axhline(made.milliseconds, color=_GREY, lw=1, ls="--")
    axes.annotate(made.objective, (0.005, made.milliseconds), xycoords=("axes fraction", "data"), va="bottom", size=8)
    if made.rate is not None:
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
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.grid(alpha=0.3, which="both")
    axes.legend(loc="upper left", fontsize=8, frameon=False)


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
    known = [window.latency for window in one.windows if window.latency is not None]
    above = 2 * max([*known, made.milliseconds])
    height = [above if window.latency is None else window.latency for window in one.windows]
    beside.plot(at, height, color=_BLUE, lw=1.2, marker="o", ms=3, label=made.objective.partition(" ")[0])
    broke = [n for n, window in enumerate(one.windows) if window.why]
    if broke:
        beside.plot(at[broke], [height[n] for n in broke], "o", color=_RED, ms=5, label="broke")
    beside.axhline(made.milliseconds, color=_GREY, lw=1, ls="--")
    beside.set(ylabel="ms", yscale="log")
    beside.margins(y=0.2)  # room for the words
    beside.yaxis.set_major_formatter("{x:g}")
    beside.legend(loc="upper left", fontsize=8, frameon=False, ncols=2)
