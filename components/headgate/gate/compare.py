"""A candidate against the champion, on the same rows, paired by the metric's unit.

`units.parquet` of an evaluation holds, for every metric, slice and unit, a numerator and a denominator; "all" is the
slice of everything.
"""

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from headgate.contract.checks import Check
from headgate.contract.limits import Comparison, Limits, Metric
from headgate.gate.ratios import Difference, difference, holm

UNITS = "units.parquet"

#: Harm in a slice cannot be shown by fewer units than this on which the two versions differ.
LEAST_UNITS = 20

_NO_CHAMPION = "There is no champion to compare with yet."


def compare_to_champion(
    candidate: Path, champion: Path | None, metrics: Sequence[Metric], limits: Limits
) -> list[Check]:
    """Non-inferiority overall must be shown; harm in a slice must be shown to be refused."""
    by_name = {metric.name: metric for metric in metrics}
    if champion is None:
        return [
            *(
                Check("model", c.metric, "not judged", "refuse", "–", f"> −{c.margin:g}", _NO_CHAMPION)
                for c in limits.comparisons
            ),
            Check("slices", "harm", "not judged", "refuse", "–", "none shown", _NO_CHAMPION),
        ]
    pairs = _pairs(candidate, champion)
    checks = [_overall(pairs, by_name[c.metric], c, limits.confidence) for c in limits.comparisons]
    return [*checks, _slices(pairs, by_name, limits)]


def _pairs(candidate: Path, champion: Path) -> pl.DataFrame:
    mine, theirs = pl.read_parquet(candidate / UNITS), pl.read_parquet(champion / UNITS)
    return mine.join(theirs, on=("metric", "slice", "unit"), how="inner", suffix="_champion")


def _difference(pairs: pl.DataFrame, metric: Metric, slice_name: str) -> Difference | None:
    rows = pairs.filter((pl.col("metric") == metric.name) & (pl.col("slice") == slice_name))
    columns = [rows[n].to_numpy() for n in ("numerator", "denominator", "numerator_champion", "denominator_champion")]
    if not columns[1].sum() > 0 or not columns[3].sum() > 0:
        return None
    return difference(*columns, share=metric.share).turned(metric.direction)  # more is better from here on


def _overall(pairs: pl.DataFrame, metric: Metric, c: Comparison, confidence: float) -> Check:
    found = _difference(pairs, metric, "all")
    demanded = f"> −{c.margin:g}"
    if found is None:
        sentence = f"No test row has a {metric.title}, so it cannot be compared with the champion's."
        return Check("model", c.metric, "failed", "refuse", "–", demanded, sentence)
    if found.units < c.least_units:
        units = f"{found.units} unit{'s' if found.units > 1 else ''}"
        sentence = (
            f"{metric.title} can be compared with the champion's on {units} only ({metric.unit}), and fewer than "
            f"{c.least_units} show nothing: look at them one by one, or bring more test rows."
        )
        return Check("model", c.metric, "failed", "review", units, f"≥ {c.least_units} units", sentence)
    low, high = found.interval(confidence)
    measured = f"{found.value:+.4f} [{low:+.4f}, {high:+.4f}]"
    better = "better" if found.value >= 0 else "worse"
    if low > -c.margin:
        sentence = f"{metric.title} is not inferior to the champion's ({abs(found.value):.4f} {better})."
        return Check("model", c.metric, "passed", "refuse", measured, demanded, sentence)
    sentence = (
        f"{metric.title} is not shown to be as good as the champion's: it is {abs(found.value):.4f} {better}, and with "
        f"{confidence:.0%} confidence may be {-low:.4f} worse, {c.margin:g} is allowed."
    )
    return Check("model", c.metric, "failed", "refuse", measured, demanded, sentence)


def _slices(pairs: pl.DataFrame, metrics: dict[str, Metric], limits: Limits) -> Check:
    """Harm shown in any slice, by any compared metric, corrected for their number."""
    tested: list[tuple[str, float, Difference]] = []
    sparse = set()
    for c in limits.comparisons:
        for name in pairs["slice"].unique().sort():
            found = None if name == "all" else _difference(pairs, metrics[c.metric], name)
            if found is None:
                continue
            if found.differing < LEAST_UNITS:
                sparse.add(name)
                continue
            tested.append((f"{metrics[c.metric].title} in {name}", c.slice_margin, found))
    harmed = holm([found.below(-margin) for _, margin, found in tested], limits.slice_alpha)
    shown = [
        f"{name} is worse by {-found.value:.4f} ({margin:g} is allowed)"
        for (name, margin, found), harm in zip(tested, harmed, strict=True)
        if harm
    ]
    quiet = f" Too sparse to show anything: {', '.join(sorted(sparse))}." if sparse else ""
    measured = f"{len(shown)} of {len(tested)} tests"
    if shown:
        sentence = f"Harm is shown: {'; '.join(shown)}.{quiet}"
        return Check("slices", "harm", "failed", "refuse", measured, "none shown", sentence)
    return Check(
        "slices", "harm", "passed", "refuse", measured, "none shown", f"No slice is shown to be harmed.{quiet}"
    )
