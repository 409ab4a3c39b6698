"""The pictures that a reviewer wants: curves with their operating points, the week's labels, scores, reliability."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from headgate.calibration.curves import curve
from headgate.domains.adclicks.limits import ALPHA
from headgate.domains.adclicks.model.baselines import NAMES
from headgate.domains.adclicks.model.predictor import THRESHOLDS
from headgate.files import read_json
from headgate.gate.change import ROWS

_COLOURS = (
    "#0b5394",
    "#e07b00",
    "#38761d",
    "#a61c3c",
    "#674ea7",
    "#0097a7",
    "#8d6e63",
    "#616161",
    "#c2185b",
    "#9e9d24",
)
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def plots(work: Path, out: Path) -> None:
    """Draw the candidate in `work`: one PNG each in `out`."""
    rows = pl.read_parquet(work / "evaluate" / ROWS)
    thresholds = read_json(work / "calibrate" / "bundle" / THRESHOLDS)
    hours = pl.read_csv(work / "validate" / "hours.csv")
    _save(out / "ivr_fpr.png", (8.8, 5.6), lambda figure: _curves(figure, rows, thresholds))
    _save(out / "scores.png", (8.8, 3.6), lambda figure: _scores(figure, rows))
    _save(out / "week.png", (8.8, 3.2), lambda figure: _week(figure, hours))


def _save(path: Path, size: tuple[float, float], draw: Callable[[Figure], None]) -> None:
    figure = Figure(figsize=size, layout="constrained", dpi=90)
    draw(figure)
    figure.savefig(path, metadata={"Software": None})


def _curves(figure: Figure, rows: pl.DataFrame, thresholds: dict) -> None:
    """IVR over FPR: each slice with its operating point, and the net beside its baselines."""
    left, right = figure.subplots(1, 2)
    rows = rows.with_columns(
        pooled=pl.col("slice").replace_strict({leaf: t["slice"] for leaf, t in thresholds.items()})
    )
    chosen = {t["slice"]: t["threshold"] for t in thresholds.values()}
    top = 0.0
    names = sorted(rows["pooled"].unique())
    for number, name in enumerate(names, start=-1):  # the catch-all comes first and is grey
        mine = rows.filter(pl.col("pooled") == name)
        if not mine["good"].any():
            continue
        c = curve(mine["score_net"].to_numpy(), mine["good"].to_numpy())
        fpr, ivr = c.h / c.h[-1], c.n / c.n[-1]
        colour = "#aaaaaa" if name == "all" else _COLOURS[number % len(_COLOURS)]
        shown = "all other" if name == "all" and len(names) > 1 else name  # it takes in what is too sparse for a slice
        left.step(fpr, ivr, where="post", color=colour, lw=1.3, label=f"{shown} ({c.h[-1]:,} purchasing)")
        if chosen[name] is not None:
            point = c.point(chosen[name])
            left.plot(fpr[point], ivr[point], "o", color=colour, ms=7, mec="white", zorder=5)
        top = max(top, float(np.interp(6 * ALPHA, fpr, ivr)))
    left.set(
        title="Each slice; the dots are where it operates", xlim=(-0.001, 6 * ALPHA), ylim=(0, max(top * 1.1, 0.05))
    )
    left.legend(fontsize=7.5, loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=2, frameon=False)
    highest = 0.0
    for number, name in enumerate(NAMES):
        c = curve(rows[f"score_{name}"].to_numpy(), rows["good"].to_numpy())
        fpr, ivr = c.h / c.h[-1], c.n / c.n[-1]
        right.step(fpr, ivr, where="post", color=_COLOURS[number], lw=1.3, label=name)
        highest = max(highest, float(np.interp(6 * ALPHA, fpr, ivr)))
    good = rows.filter("good")
    right.plot(
        (good["outcome"] == "invalid").mean(),
        (rows["outcome"] == "invalid").mean(),
        "o",
        color=_COLOURS[0],
        ms=8,
        mec="white",
        zorder=5,
    )
    right.axvline(ALPHA, color="grey", ls=":", lw=1)
    right.set(title="All traffic; dotted: the budget", xlim=(-0.001, 6 * ALPHA), ylim=(0, highest * 1.1))
    right.legend(fontsize=7.5, loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=2, frameon=False)
    for axes in (left, right):
        _percent(axes, "purchasing clicks invalidated (FPR)", "clicks invalidated (IVR)")


def _scores(figure: Figure, rows: pl.DataFrame) -> None:
    """Score histograms by what is known of the clicks, and how often a score's clicks are labelled human."""
    left, right = figure.subplots(1, 2)
    kinds = {
        "led to a purchase": pl.col("good"),
        "heavy session": pl.col("heavy") & ~pl.col("human"),
        "other": ~pl.col("human") & ~pl.col("heavy"),
    }
    bins = np.linspace(0, 1, 41)
    for colour, (name, kind) in zip(_COLOURS, kinds.items(), strict=False):
        score = rows.filter(kind)["score_net"].to_numpy()
        if len(score):
            weight = np.full(len(score), 1 / len(score))
            left.hist(
                score, bins, weights=weight, histtype="step", lw=1.5, color=colour, label=f"{name} ({len(score):,})"
            )
    left.set(title="Scores by what is known of the clicks", xlabel="score (higher: more robotic)")
    left.yaxis.set_major_formatter(PercentFormatter(1.0))
    left.legend(fontsize=8)
    score, human = rows["score_net"].to_numpy(), rows["human"].to_numpy()
    edges = np.unique(np.quantile(score, np.linspace(0, 1, 21)))
    place = np.clip(np.searchsorted(edges, score, side="right") - 1, 0, len(edges) - 2)
    count = np.bincount(place, minlength=len(edges) - 1)
    share = np.bincount(place, human, len(edges) - 1) / np.maximum(count, 1)
    middle = np.bincount(place, score, len(edges) - 1) / np.maximum(count, 1)
    error = 1.96 * np.sqrt(share * (1 - share) / np.maximum(count, 1))
    right.errorbar(middle, share, yerr=error, fmt="o-", ms=4, lw=1, color=_COLOURS[0])
    right.set(title="Reliability: it ranks, it is no probability", xlabel="score", ylim=(0, None))
    right.set_ylabel("clicks labelled human")
    right.yaxis.set_major_formatter(PercentFormatter(1.0))


def _week(figure: Figure, hours: pl.DataFrame) -> None:
    """Purchases of each hour against the same hour of the other days, the newest hour of each weekday."""
    axes = figure.subplots()
    if hours["p"].null_count() == len(hours):
        axes.text(0.5, 0.5, hours["why"][0], ha="center", va="center")
        axes.axis("off")
        return
    bought = hours.filter((pl.col("source") == "purchases") & pl.col("key").str.ends_with("UTC")).tail(7 * 24)
    grid = np.full((7, 24), np.nan)
    for key, labels, expected, p in bought.select("key", "labels", "expected", "p").iter_rows():
        day, hour = _DAYS.index(key[:3]), int(key[15:17])
        grid[day, hour] = labels / expected if expected > 0 else np.nan
        if p < 1e-4:
            axes.text(hour, day, "!", ha="center", va="center", color="black", weight="bold")
    image = axes.imshow(grid, aspect="auto", cmap="RdBu", vmin=0, vmax=2)
    axes.set(title="Purchases by hour (UTC) of the last seven mature days, against the other days' mean")
    axes.set_xticks(range(24))
    axes.set_yticks(range(7), _DAYS)
    figure.colorbar(image, ax=axes, format=lambda x, _: f"{x:.1f} ×", shrink=0.9)


def _percent(axes: Axes, x: str, y: str) -> None:
    axes.set(xlabel=x, ylabel=y)
    axes.grid(alpha=0.25)
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=1))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
