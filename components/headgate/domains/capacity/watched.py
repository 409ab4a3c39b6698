"""Which logged actuals the watch may roll back for: one a series and quarter of an hour that has a band."""

import polars as pl

#: Minutes of a series follow each other closely: one in so many seconds tells as much as all, and series of all steps
#: up to this are counted alike.
EVERY = 900


def watched(rows: pl.DataFrame) -> pl.DataFrame:
    """Logged `rows`, in their order: unit (the series), slice, good, against (outside the band).

    A forecast that was asked for, a step between quarters, or an actual that is not known tells nothing: not good.
    """
    told = (pl.col("kind") == "actual") & pl.col("actual").is_not_null() & pl.col("low").is_not_null()
    whole = pl.col("time").dt.epoch("s") % EVERY == 0
    return rows.select(unit="series", slice="slice", good=(told & whole).fill_null(False), against="against")
