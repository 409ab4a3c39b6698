"""What decided clicks tell of the metrics: the same for the test rows of a version and for the decision log."""

import polars as pl

from headgate.contract.observations import observations


def measure(clicks: pl.DataFrame) -> list[pl.DataFrame]:
    """`OBSERVATION` of decided clicks, a table a metric: the invalidation rate; and what else their columns tell.

    `clicks` has user, slice and invalid; with `bought`, whether it led to a purchase, they tell the false-positive
    rate, and with `heavy`, whether its session is one that the heuristic holds for robots, the coverage.
    """
    invalid = pl.col("invalid")
    found = [observations(clicks, "ivr", unit=pl.col("user"), numerator=invalid, denominator=pl.lit(1.0))]
    for metric, of in (("fpr", "bought"), ("coverage", "heavy")):
        if of in clicks.columns:
            counted = pl.col(of)
            found.append(
                observations(clicks, metric, unit=pl.col("user"), numerator=invalid & counted, denominator=counted)
            )
    return found
