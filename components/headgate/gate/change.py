"""How much a candidate changes: little on what is known to be good, and not too much at once in all."""

from pathlib import Path

import polars as pl

from headgate.contract.checks import Check
from headgate.contract.outcomes import Outcomes

#: One row a decided test row: `key`, `unit`, `good` (known to be good) and `outcome`.
ROWS = "rows.parquet"


def check_change(
    candidate: Path, champion: Path | None, outcomes: Outcomes, *, known_good: float, traffic: float
) -> list[Check]:
    """What changes between two evaluations of the same rows: outcomes that are newly adverse, and others at all."""
    if champion is None:
        none = "There is no champion yet."
        return [
            Check("change", "known good", "not judged", "refuse", "–", f"≤ {known_good:.1%}", none),
            Check("change", "all traffic", "not judged", "review", "–", f"≤ {traffic:.1%}", none),
        ]
    mine = pl.read_parquet(candidate / ROWS, columns=["key", "good", "outcome"])
    theirs = pl.read_parquet(champion / ROWS, columns=["key", "outcome"])
    both = mine.join(theirs, on="key", suffix="_champion")
    both = both.with_columns(newly=outcomes.is_adverse() & ~outcomes.is_adverse("outcome_champion"))
    good = both.filter("good")
    harmed = int(good["newly"].sum())
    share = harmed / max(len(good), 1)
    flips = both["outcome"] != both["outcome_champion"]
    moved = float(flips.mean() or 0.0)  # type: ignore[arg-type]
    more = int(both["newly"].sum())
    return [
        Check(
            "change",
            "known good",
            "passed" if share <= known_good else "failed",
            "refuse",
            f"{share:.2%}",
            f"≤ {known_good:.1%}",
            f"{harmed:,} of {len(good):,} rows known to be good are newly {outcomes.adverse_words}.",
        ),
        Check(
            "change",
            "all traffic",
            "passed" if moved <= traffic else "failed",
            "review",
            f"{moved:.2%}",
            f"≤ {traffic:.1%}",
            f"{flips.sum():,} of {len(both):,} decisions change, {more:,} of them are newly {outcomes.adverse_words}. "
            + (
                ""
                if moved <= traffic
                else "A better model may well do so on what is new in the traffic: a person should look."
            ),
        ),
    ]
