"""What a loaded version can be asked."""

from typing import Protocol

import polars as pl


class Predictor(Protocol):
    """A loaded version. Serving, batches, replay and evaluation all ask it."""

    def decide(self, batch: pl.DataFrame) -> pl.DataFrame:
        """Decide every row of `batch`; rows come back in the same order."""
        ...
