"""The pictures that a reviewer wants: the forecast beside what came, what comes next, and whether the bands hold."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from headgate.domains.capacity.stages.evaluate import FUTURE, PATHS
from headgate.files import read_json

_ACTUAL, _FORECAST, _BAND = "#444444", "#0b5394", "#9fc5e8"


def plots(work: Path, out: Path) -> None:
    """Draw the candidate in `work`: one PNG each in `out`."""
    tried = pl.read_parquet(work / "evaluate" / PATHS)
    _draw(out / "backtest.png", tried)
    _next(out / "next_weeks.png", pl.read_parquet(work / "evaluate" / FUTURE))
    _held(out / "coverage.png", read_json(work / "evaluate" / "scorecard.json"))


def _draw(path: Path, tried: pl.DataFrame) -> None:
    names = tried["series"].unique(maintain_order=True).to_list()[:3]
    figure = Figure(figsize=(8.8, 1.9 * len(names) + 0.6), layout="constrained")
    axes = figure.subplots(len(names), 1, squeeze=False)[:, 0]
    for axis, name in zip(axes, names, strict=True):
        rows = tried.filter(pl.col("series") == name).sort("time")
        bins = max(1, len(rows) // 700)
        hours = rows.with_columns(bin=pl.int_range(pl.len()) // bins).group_by("bin", maintain_order=True).mean()
        when = _dates(hours["time"].to_numpy())
        axis.fill_between(when, hours["low"], hours["high"], color=_BAND, linewidth=0, label="80 % band (mean)")
        axis.plot(when, hours["actual"], color=_ACTUAL, linewidth=0.9, label="what came")
        axis.plot(when, hours["forecast"], color=_FORECAST, linewidth=0.9, label="forecast")
        axis.set_title(name, loc="left", fontsize=9)
        _dated(axis)
    axes[0].legend(loc="upper right", fontsize=8, frameon=False, ncols=3)
    figure.suptitle("At the test origin: what the recipe would have forecast", fontsize=11)
    figure.savefig(path, dpi=110)


def _next(path: Path, days: pl.DataFrame) -> None:
    totals = days.group_by("day").agg(pl.col("said").sum(), pl.col("actual").sum(), whole=pl.col("actual").count())
    totals = totals.sort("day").with_columns(
        actual=pl.when(pl.col("whole") == pl.col("whole").max()).then("actual"), day=pl.col("day") * 86_400
    )
    figure = Figure(figsize=(8.8, 3.4), layout="constrained")
    axis = figure.subplots()
    when = _dates(totals["day"].to_numpy())
    axis.plot(when, totals["actual"], color=_ACTUAL, marker="o", markersize=3, label="what came")
    axis.plot(
        when, totals["said"], color=_FORECAST, marker="o", markersize=3, label="this version, fitted to it and on"
    )
    axis.set_title("All series, by day", loc="left", fontsize=10)
    axis.set_ylim(bottom=0)
    axis.legend(frameon=False, fontsize=8)
    _dated(axis)
    figure.savefig(path, dpi=110)


def _held(path: Path, card: list[dict[str, Any]]) -> None:
    lines = [line for line in card if line["metric"] in ("cover80", "cover90") and line["value"] is not None]
    names = list(dict.fromkeys(str(line["slice"]) for line in lines))
    figure = Figure(figsize=(8.8, 0.45 * len(names) + 1.4), layout="constrained")
    axis = figure.subplots()
    for metric, colour, shift in (("cover80", _FORECAST, -0.12), ("cover90", "#e07b00", 0.12)):
        for line in (line for line in lines if line["metric"] == metric):
            at = names.index(str(line["slice"])) + shift
            axis.plot([line["low"], line["high"]], [at, at], color=colour, linewidth=2)
            axis.plot([line["value"]], [at], "o", color=colour)
        nominal = float(metric[-2:]) / 100
        axis.axvline(nominal, color=colour, linestyle=":", linewidth=1, label=f"{nominal:.0%} band")
    axis.set_yticks(range(len(names)), names)
    axis.set_xlim(0, 1.01)
    axis.invert_yaxis()
    axis.set_xlabel("share of steps inside, with its 95 % interval over series × origin")
    axis.legend(frameon=False, fontsize=8, loc="lower left")
    figure.savefig(path, dpi=110)


def _dates(seconds: NDArray[np.float64]) -> Any:
    return [datetime.fromtimestamp(float(second), UTC) for second in seconds]


def _dated(axis: Axes) -> None:
    from matplotlib import dates

    locator: Any = dates.AutoDateLocator(maxticks=9)  # type: ignore[no-untyped-call]
    axis.xaxis.set_major_locator(locator)
    axis.xaxis.set_major_formatter(dates.ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    axis.tick_params(labelsize=8)
    axis.spines[["top", "right"]].set_visible(False)
