"""What labels that have matured since say of the champion: is it still what its gate saw?"""

from collections.abc import Sequence
from dataclasses import asdict
from math import hypot
from pathlib import Path

import polars as pl

from headgate.contract.limits import Limits, Metric
from headgate.files import read_json
from headgate.gate.compare import UNITS
from headgate.gate.ratios import ratio, student


def worsened(bundle: Path, evaluation: Path, metrics: Sequence[Metric], limits: Limits) -> dict[str, str]:
    """By metric, in words, where a version is shown to do worse on new rows than on those it was judged on.

    `bundle` holds the scorecard of its judgement, whose first lines are its own; `evaluation` is of the new rows. The
    rows are others, so the difference is that of two independent ratios, and must exceed the comparison's margin. Its
    degrees of freedom are those of the fewer units.
    """
    card = read_json(bundle / "scorecard.json")
    own = {line["metric"]: line for line in card if line["slice"] == "all" and line["model"] == card[0]["model"]}
    units = pl.read_parquet(evaluation / UNITS).filter(pl.col("slice") == "all")
    by_name = {metric.name: metric for metric in metrics}
    found = {}
    for limit in limits.comparisons:
        metric, then = by_name[limit.metric], own.get(limit.metric)
        rows = units.filter(pl.col("metric") == metric.name)
        now = ratio(*rows.select("numerator", "denominator").to_numpy().T, share=False, confidence=limits.confidence)
        if not metric.maturity_hours or then is None or None in (then["value"], then["low"], now.value, now.low):
            continue
        errors = [
            (line["high"] - line["low"]) / (2 * student(limits.confidence, line["units"]))
            for line in (then, asdict(now))
        ]
        better = metric.direction * (now.value - then["value"])  # type: ignore[operator]
        one_sided = student(2 * limits.confidence - 1, min(then["units"], now.units))
        if better + one_sided * hypot(*errors) < -limit.margin:
            found[metric.name] = (
                f"{metric.title} was {then['value']:.3f} when it was judged and is {now.value:.3f} on the newest "
                f"labels that have matured ({now.low:.3f} to {now.high:.3f})."
            )
    return found
