"""What live decisions show, by the very function that evaluates a version: for the watch, the shadow, and the loop.

The feedback loop is `live_scorecard`: what was decided, and what came of it since, as metric × slice with intervals.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from headgate.contract.limits import Watch
from headgate.contract.observations import Observe, units_of
from headgate.decisions.reading import effective, parts
from headgate.domain import Domain
from headgate.errors import DataRefused, UsageError
from headgate.gate.scorecard import scorecard
from headgate.settings import Settings

#: What the scorecard calls what decided, whichever version that was.
LIVE = "live"


def observe(domain: Domain) -> Observe:
    """The domain's own; UsageError where it has none."""
    found = domain.logs.observe
    if found is None:
        raise UsageError(f"{domain.name} does not say what its decisions do, so they cannot be watched or scored.")
    return found


def watched_rows(domain: Domain, watch: Watch, rows: pl.DataFrame) -> pl.DataFrame:
    """The observations of the watched metric, one for each of `rows`, in their order."""
    lines = observe(domain)(rows).filter(pl.col("metric") == watch.metric).sort("row")
    if len(lines) != len(rows):
        raise ValueError(f"{domain.name} observes {watch.metric} in {len(lines)} of {len(rows)} rows")
    return lines


@dataclass(frozen=True)
class LiveScorecard:
    """What was decided in a span of time, scored by what is known of it now."""

    domain: str
    since: str
    until: str
    rows: int
    scorecard: list[dict[str, Any]]

    def words(self) -> str:
        """The overall lines as a table."""
        lines = [f"{self.domain} as it was decided from {self.since} to {self.until}: {self.rows:,} decisions", ""]
        lines.append(f"{'metric':<18} {'value':>8}  interval")
        for line in self.scorecard:
            if line["slice"] == "all" and line["value"] is not None:
                interval = "" if line["low"] is None else f"  [{line['low']:.4f}, {line['high']:.4f}]"
                lines.append(f"{line['metric']:<18} {line['value']:>8.4f}{interval}")
        return "\n".join(lines)


def live_scorecard(
    settings: Settings, domain: Domain, since: datetime, until: datetime, truth: Path | None = None
) -> LiveScorecard:
    """Score what was decided in [since, until) as it holds now, with `truth`, raw files of what came of it.

    Answers by default are no decisions. Raises DataRefused where there are none.
    """
    rows, lines = 0, []
    for decided in _decided(settings, domain, since, until):
        rows += len(decided)
        lines.append(units_of([observe(domain)(decided, truth)]).filter(pl.col("slice") != "all"))
    if not rows:
        raise DataRefused(
            f"The decision log of {domain.name} has nothing from {since:%Y-%m-%d %H:%M} to {until:%Y-%m-%d %H:%M} UTC: "
            "check --from and --to."
        )
    card = scorecard(units_of(lines), domain.metrics, LIVE)
    begins, ends = (at.isoformat(timespec="minutes") for at in (since, until))
    return LiveScorecard(domain.name, begins, ends, rows, card)


def _decided(settings: Settings, domain: Domain, since: datetime, until: datetime) -> Iterator[pl.DataFrame]:
    """What holds of the decisions of [since, until), part by part."""
    for part, rows in parts(settings, domain.logs.log, since, until):
        decided = rows.filter(pl.col("role") != "default")
        if len(decided):
            yield effective(settings, domain.logs.log, decided, part)
