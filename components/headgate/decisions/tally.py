"""What befell each good unit of a day, and what the sequential tests say of it."""

from dataclasses import dataclass
from math import exp

import polars as pl

from headgate.contract.limits import Watch
from headgate.decisions import sequential

#: The slice of everything. A domain may pool sparse slices under "all", so it is none of those names.
EVERYTHING = "all slices"

#: One row a unit known to be good and slice that it was seen in, in the order in which they were first seen.
TALLY: dict[str, pl.DataType] = {
    "slice": pl.String(),
    "unit": pl.String(),
    "adverse": pl.Int32(),  # adverse decisions about it
    "net": pl.Int32(),  # those, minus what the version before would have made about it
    "side": pl.Int8(),  # 1 newly wronged, -1 freed, whichever it was first; 0 neither
}


@dataclass(frozen=True)
class Finding:
    """A slice's tests up to now. The capitals are natural logs; `bar` is where they refute."""

    slice: str
    units: int
    wronged: int
    worse: int  # newly wronged
    better: int  # freed
    log_wronged: float
    log_newly: float
    bar: float
    curable: bool  # the version before would have wronged fewer, by more than the margin

    @property
    def harm(self) -> bool:
        """Whether harm is shown, by either test."""
        return max(self.log_wronged, self.log_newly) >= self.bar

    def words(self, watch: Watch, version: int, previous: int | None) -> str:
        """The finding in a sentence or two, with the counts, the capital and the level."""
        value = exp(min(max(self.log_wronged, self.log_newly), 700.0))
        said = (
            f"In {self.slice}, version {version} wrongs {self.wronged:,} of {self.units:,} {watch.units} today; "
            f"{watch.wronged:.1%} are allowed."
        )
        if previous is not None:
            said += (
                f" On the same inputs it wrongs {self.worse:,} that version {previous} would not have wronged, and "
                f"frees {self.better:,}; {watch.newly:.1%} more are allowed."
            )
        return (
            f"{said} The e-value is {value:.3g}, and {exp(self.bar):,.0f} is enough: at most one false alarm in "
            f"{1 / watch.alpha:,.0f} days over all slices and tests."
        )


def empty() -> pl.DataFrame:
    """The tally of a day that has just begun."""
    return pl.DataFrame(schema=TALLY)


def add(tally: pl.DataFrame, seen: pl.DataFrame, after: int) -> pl.DataFrame:
    """`tally` with the decisions in `seen`, in their order: slice, unit, adverse, before (null where it is not known).

    `after` as in `Watch`.
    """
    both = pl.concat([seen, seen.with_columns(slice=pl.lit(EVERYTHING))])
    change = pl.col("adverse").cast(pl.Int32) - pl.col("before").fill_null(pl.col("adverse")).cast(pl.Int32)
    both = both.with_columns(change=change).join(
        tally.select("slice", "unit", start="net"), on=("slice", "unit"), how="left", maintain_order="left"
    )
    running = pl.col("start").fill_null(0) + pl.col("change").cum_sum()
    new = both.group_by("slice", "unit", maintain_order=True).agg(
        pl.col("adverse").sum().cast(pl.Int32),
        net=pl.col("change").sum().cast(pl.Int32),
        side=running.filter(running.abs() >= after).first().sign().fill_null(0).cast(pl.Int8),
    )
    first_side = pl.col("side").filter(pl.col("side") != 0).first().fill_null(0)
    return (
        pl.concat([tally, new])
        .group_by("slice", "unit", maintain_order=True)
        .agg(pl.col("adverse").sum(), pl.col("net").sum(), first_side)
    )


def findings(tally: pl.DataFrame, watch: Watch) -> list[Finding]:
    """The tests of all traffic and of the slices, in the order in which these were first seen."""
    wronged = (pl.col("adverse") >= watch.after).sum()
    counts = tally.group_by("slice", maintain_order=True).agg(
        units=pl.len(), wronged=wronged, worse=(pl.col("side") > 0).sum(), better=(pl.col("side") < 0).sum()
    )
    rows = counts.filter(pl.col("slice") != EVERYTHING).head(watch.slices).to_dicts()
    rows = counts.filter(pl.col("slice") == EVERYTHING).to_dicts() + rows
    bar = sequential.bar(watch.alpha, 2 * (watch.slices + 1))
    return [
        Finding(
            **row,
            log_wronged=float(sequential.share(row["units"], row["wronged"], watch.wronged)),
            log_newly=float(sequential.paired(row["units"], row["worse"], row["better"], watch.newly)),
            bar=bar,
            curable=row["worse"] - row["better"] > watch.newly * row["units"],
        )
        for row in rows
    ]
