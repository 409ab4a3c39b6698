"""The vectors of a folder of clicks as files: `OUT/DAY.parquet` with click_id, received_at and FEATURES, by arrival."""

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from headgate.data.tables import publishing
from headgate.domains.adclicks.features.kernel import FEATURES
from headgate.domains.adclicks.model.table import by_day
from headgate.domains.adclicks.stages.batch import click_days, span
from headgate.files import atomic_file


@dataclass(frozen=True)
class Written:
    """How much was written."""

    clicks: int
    days: int

    def words(self, out: Path) -> str:
        """The same in a sentence."""
        return f"{out} holds the vectors of {self.clicks:,} clicks, in {self.days} files, one a day."


def write(on: Path, out: Path, *, master: str | None = None) -> Written:
    """Write the vectors of the clicks below `on` to `out`; on Spark where a `master` is named.

    Nothing is written unless all is. Both give the same digits, but where a click id comes again more than a day later:
    this machine, which looks back a day, counts it again as serving does, and Spark knows it from the whole log.
    Raises UsageError where `out` has a day with other rows, and DataRefused where a file is not of the raw schema.
    """
    with publishing(out) as draft:
        if master is None:
            days = click_days(on)
            for day, table in by_day(on, days, *span(days)):
                with atomic_file(draft / f"{day}.parquet") as file:
                    table.select("click_id", "received_at", *FEATURES).write_parquet(file, compression="zstd")
        else:
            from headgate.domains.adclicks.features import spark

            spark.write(on, draft, master)
        files = sorted(draft.glob("*.parquet"))
        clicks = pl.scan_parquet(files, glob=False).select(pl.len()).collect().item()
    return Written(clicks, len(files))
