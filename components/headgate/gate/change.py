"""How much a candidate changes: little on what is known to be good, and not too much at once in all."""

from pathlib import Path

import polars as pl

from headgate.gate.checks import Check

#: One row a decided test row: `key`, `unit`, `good` (known to be good) and `decided` (decided against).
ROWS = "rows.parquet"


def change(candidate: Path, champion: Path | None, *, known_good: float, traffic: float) -> list[Check]:
    """Flips of decisions between two evaluations of the same rows."""
    if champion is None:
        none = "There is no champion yet."
        return [
            Check("change", "known good", "not judged", "refuse", "–", f"≤ {known_good:.1%}", none),
            Check("change", "all traffic", "not judged", "review", "–", f"≤ {traffic:.1%}", none),
        ]
    mine = pl.read_parquet(candidate / ROWS, columns=["key", "good", "decided"])
    theirs = pl.read_parquet(champion / ROWS, columns=["key", "decided"])
    both = mine.join(theirs, on="key", suffix="_champion")
    good = both.filter("good")
    harmed = int((good["decided"] & ~good["decided_champion"]).sum())
    share = harmed / max(len(good), 1)
    flips = both["decided"] != both["decided_champion"]
    moved = float(flips.mean() or 0.0)  # type: ignore[arg-type]
    more = int((both["decided"] & flips).sum())
    return [
        Check(
            "change",
            "known good",
            "passed" if share <= known_good else "failed",
            "refuse",
            f"{share:.2%}",
            f"≤ {known_good:.1%}",
            f"{harmed:,} of {len(good):,} rows known to be good are newly decided against.",
        ),
        Check(
            "change",
            "all traffic",
            "passed" if moved <= traffic else "failed",
            "review",
            f"{moved:.2%}",
            f"≤ {traffic:.1%}",
            f"{flips.sum():,} of {len(both):,} decisions change, {more:,} of them to a decision against. "
            + ("" if moved <= traffic else "A better model may well do so on new robots: a person should look."),
        ),
    ]
