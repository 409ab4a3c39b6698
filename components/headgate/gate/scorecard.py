"""A scorecard of observed units: metric × slice, each with its interval."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import polars as pl

from headgate.contract.limits import Metric
from headgate.gate.ratios import ratio


def scorecard(units: pl.DataFrame, metrics: Sequence[Metric], model: str) -> list[dict[str, Any]]:
    """The lines of `model`, as `scorecard.json` holds them, from its `units` (`compare.UNITS`) in their order.

    A metric that is none of `metrics` is taken for a share.
    """
    shares, card = {metric.name: metric.share for metric in metrics}, []
    for (metric, name), group in units.group_by("metric", "slice", maintain_order=True):
        sums = (group["numerator"].to_numpy(), group["denominator"].to_numpy())
        estimate = ratio(*sums, share=shares.get(str(metric), True))
        card.append({"model": model, "metric": metric, "slice": name, **asdict(estimate)})
    return card
