"""The distribution of latencies as a picture: by percentile, as far out as the tail goes, and over time."""

from itertools import pairwise
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from headgate.files import atomic_file
from headgate.load.measured import Measured
from headgate.load.report import QUANTILES, Report
from headgate.load.schedule import Schedule

_BLUE, _ORANGE, _GREY, _RED = "#0b5394", "#e07b00", "#888888", "#a61c3c"

#: Columns of the second panel.
_SPANS = 200


def draw(measured: Measured, schedule: Schedule, report: Report, path: Path) -> None:
    """Draw `measured` as a PNG at `path`."""
    figure = Figure(figsize=(8.8, 7.2), layout="constrained", dpi=90)
    upper, lower = figure.subplots(2, 1)
    _by_percentile(upper, measured, report)
    _over_time(lower, measured, schedule)
    figure.suptitle(f"{report.target}: {report.requests:,} requests, {report.shape}", fontsize=11)
    with atomic_file(path) as draft:
        figure.savefig(draft, format="png", metadata={"Software": None})


def _by_percentile(axes: Axes, measured: Measured, report: Report) -> None:
    good = measured.good
    number = int(good.sum())
    axes.set_title("Latency from the instant at which a request was due", fontsize=10, loc="left")
    axes.set(xlabel="percentile", ylabel="ms")
    if not number:
        axes.text(0.5, 0.5, "no request was answered", ha="center", transform=axes.transAxes)
        return
    # Out to the last request, evenly in nines: the tail is seen as well as the middle.
    nines = np.linspace(0, np.log10(max(number, 10)), 400)
    share = 1 - 10.0**-nines
    for values, colour, label in (
        (measured.latency, _BLUE, "from due to answered"),
        (measured.waited, _GREY, "of it until sent"),
    ):
        found = np.quantile(values[good].astype(np.float64), share, method="higher")
        axes.plot(nines, 1000 * np.maximum(found, 1e-6), color=colour, label=label)
    for name, at in QUANTILES.items():
        value = report.latency[name]
        x = -np.log10(1 - at) if at < 1 else nines[-1]
        if x <= nines[-1]:
            axes.annotate(
                f"{name} {value:.3g}", (x, value), xytext=(-3, 5), textcoords="offset points", fontsize=8, ha="right"
            )
            axes.plot([x], [value], "o", ms=3, color=_BLUE)
    if report.inside:
        for name, bound in report.inside.items():
            x = -np.log10(1 - QUANTILES[name]) if name != "max" else nines[-1]
            if np.isfinite(bound.high) and x <= nines[-1]:
                label = "inside the server (bounds of a bucket)" if name == "p50" else ""
                axes.plot([x, x], [max(bound.low, 1e-3), bound.high], color=_ORANGE, lw=4, alpha=0.6, label=label)
    axes.set_yscale("log")
    ticks = np.arange(int(nines[-1]) + 1)
    axes.set_xticks(ticks, [f"{100 * (1 - 10.0**-n):.10g}" for n in ticks])
    axes.grid(alpha=0.3, which="both")
    axes.legend(loc="lower right", fontsize=8, frameon=False)
    axes.margins(y=0.12)  # room for the words at the largest


def _over_time(axes: Axes, measured: Measured, schedule: Schedule) -> None:
    end = measured.seconds if measured.interrupted else schedule.seconds
    edges = np.linspace(0, max(end, 1e-3), _SPANS + 1)
    axes.set_title("Over time", fontsize=10, loc="left")
    axes.set(xlabel="seconds from the start, when due", ylabel="ms", xlim=(0, edges[-1]))
    good = measured.good
    where = np.searchsorted(measured.due[good], edges)
    latency = 1000 * measured.latency[good]
    spans = [latency[a:b] for a, b in pairwise(where)]
    middle = (edges[1:] + edges[:-1]) / 2
    some = [n for n, span in enumerate(spans) if len(span)]
    if some:
        axes.plot(middle[some], [spans[n].max() for n in some], ".", ms=3, color=_GREY, label="longest")
        axes.plot(middle[some], [np.median(spans[n]) for n in some], color=_BLUE, lw=1.2, label="median")
        axes.set_yscale("log")
    failed = measured.due[(measured.status != 0) & ~good]
    if len(failed):
        axes.plot(
            failed, np.full(len(failed), 0.02), "|", color=_RED, transform=axes.get_xaxis_transform(), label="failed"
        )
    axes.grid(alpha=0.3)
    beside = axes.twinx()
    beside.plot(edges, schedule.at(edges), color=_ORANGE, lw=1, alpha=0.7, label="asked for, a second")
    beside.set(ylabel="requests a second", ylim=(0, 1.15 * schedule.rate))
    handles, labels = axes.get_legend_handles_labels()
    more, names = beside.get_legend_handles_labels()
    axes.legend(handles + more, labels + names, loc="upper left", fontsize=8, frameon=False, ncols=4)
