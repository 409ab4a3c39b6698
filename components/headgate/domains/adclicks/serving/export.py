"""The decision log as a source of the raw schema: `headgate log export adclicks`, `headgate retrain --source log`.

Day files only grow, part by part of the log, and equal rows are equal bytes: a day that is over keeps its hash, so
every snapshot takes it over unchanged. What was not folded yet is left for the next time.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import polars as pl

from headgate.data.datasets import exclusively
from headgate.data.sources import fetch, list_files, told_of
from headgate.decisions.compaction import compact
from headgate.decisions.layout import part_file
from headgate.decisions.reading import gaps, listed, read_part, real
from headgate.domains.adclicks.data import raw
from headgate.domains.adclicks.data.schema import CLICKS
from headgate.domains.adclicks.serving.log_rows import LOG
from headgate.errors import DataRefused
from headgate.files import read_json, write_json
from headgate.settings import Settings

DOMAIN = "adclicks"

#: The parts of the log that are in an export already.
DONE = "exported.json"

#: Clicks that are gathered before the day files are written: bounds the memory.
GATHERED = 1_000_000


@dataclass(frozen=True)
class Exported:
    """An export: what it holds, and what the log did not."""

    out: str
    days: int
    new_clicks: int
    outcome_files: int
    missing: int  # rows that were answered and could not be logged

    def words(self) -> str:
        """One sentence, or two."""
        said = (
            f"{self.out} holds {self.days} days of clicks as they were decided, {self.new_clicks:,} of them new, and "
            f"{self.outcome_files} files of purchases and refunds."
        )
        return said + (f" {self.missing:,} more were decided and could not be logged." if self.missing else "")


def export(settings: Settings, out: Path, outcomes: str | None) -> Exported:
    """Bring `out`, a source in the raw schema, up to date with the log and the purchases and refunds of `outcomes`.

    Clicks are those that a version decided, each id once, the first to arrive; none of a game day. Raises DataRefused
    where the log holds no click yet.
    """
    with exclusively(settings, f"{DOMAIN}-export", wait=600):
        compact(settings, LOG)
        state = out / DONE
        done = set(read_json(state)) if state.is_file() else set()
        parts = [part for part in listed(settings, DOMAIN) if part_file(settings, DOMAIN, part).is_file()]
        fresh = [part for part in parts if part not in done]
        written = sum(_add(rows, out) for rows in _gathered(settings, fresh))
        days = sorted(raw.day_of(path) for path in (out / "clicks").glob("[!.]*.parquet"))
        if not days:
            raise DataRefused("The decision log holds no click yet: `headgate serve adclicks` writes it.")
        # Written last: what was added twice is there once. Parts that are gone from the log need no mark any more.
        write_json(state, parts)
        brought = _outcomes(outcomes, days[0], out) if outcomes else 0
        missing = sum(gap.rows for gap in gaps(settings, DOMAIN))
        return Exported(str(out), len(days), written, brought, missing)


def _gathered(settings: Settings, parts: list[str]) -> Iterator[pl.DataFrame]:
    """The clicks of `parts`, about `GATHERED` at once."""
    held: list[pl.DataFrame] = []
    wanted = (pl.col("role") != "default") & real(LOG)
    for part in parts:
        held.append(read_part(settings, LOG, part, wanted, CLICKS))
        if sum(map(len, held)) >= GATHERED:
            yield pl.concat(held)
            held = []
    if held:
        yield pl.concat(held)


def _add(clicks: pl.DataFrame, out: Path) -> int:
    """Add `clicks` to the files of the days on which they arrived; how many are new there."""
    added = 0
    days = clicks.with_columns(day=pl.col("received_at").dt.date())
    for (day,), rows in days.partition_by("day", as_dict=True, include_key=False).items():
        path = out / "clicks" / f"{day}.parquet"
        before = raw.scan_table(path, "clicks").collect() if path.is_file() else pl.DataFrame(schema=CLICKS)
        ordered = pl.concat([before, rows]).sort("received_at", "click_id", maintain_order=True)
        each = ordered.unique("click_id", keep="first", maintain_order=True)
        if len(each) > len(before):
            raw.write_day(each, "clicks", path)
            added += len(each) - len(before)
    return added


def _outcomes(source: str, first: date, out: Path) -> int:
    """Bring the purchases and refunds that `source` knew from the `first` day of clicks on; how many files."""
    names = []
    for file in list_files(source):
        table = file.name.partition("/")[0]
        if table in ("purchases", "refunds"):
            with told_of(source, out):
                if raw.day_of(out / file.name) >= first:
                    names.append(file.name)
    fetch(source, names, out)
    with told_of(source, out):
        for name in names:
            raw.check_file(out / name, name.partition("/")[0])
    return len(names)
