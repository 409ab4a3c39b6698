"""What the watch knows of a day: kept between looks, so that each decision is counted once."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from pathlib import Path

import polars as pl

from headgate.decisions import tally
from headgate.decisions.layout import FORMAT
from headgate.files import atomic_folder, read_json, write_json

#: How long after it was decided a row may become visible, on a shared disk.
LATE = timedelta(minutes=10)

#: A unit that was known to be good is taken for good for so long where nothing is known of it.
MEMORY = timedelta(days=14)

_KNOWN = {"unit": pl.String(), "day": pl.Date()}


@dataclass(frozen=True)
class State:
    """A UTC day under one champion, as far as it was counted."""

    day: date
    champion: int
    previous: int | None  # what a rollback would go back to
    since: datetime  # when the champion became it
    seen: Mapping[str, datetime] = field(default_factory=dict)  # part of the log → its newest decision that is counted
    units: pl.DataFrame = field(default_factory=tally.empty)
    known: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=_KNOWN))  # days on which units were good

    @property
    def opens(self) -> datetime:
        """Decisions from before this instant are all counted, or none of this state's."""
        midnight = datetime(self.day.year, self.day.month, self.day.day, tzinfo=self.since.tzinfo)
        newest = max(self.seen.values(), default=midnight + LATE)
        return max(midnight, self.since, newest - LATE)

    def at(self, day: date, champion: int, previous: int | None, since: datetime) -> "State":
        """The same where nothing has changed; else a day that begins, and remembers who is good."""
        if (self.day, self.champion, self.previous, self.since) == (day, champion, previous, since):
            return self
        known = self.known.group_by("unit").agg(pl.col("day").max()).filter(pl.col("day") > day - MEMORY)
        return State(day, champion, previous, since, known=known)

    def add(self, part: str, upto: datetime, watched: pl.DataFrame, before: pl.Series, after: int) -> "State":
        """With the new decisions of a part up to an instant: observations `watched` of good units alone.

        `before` is whether what the version before would have decided is adverse.
        """
        fresh = watched.filter(pl.col("denominator") > 0).select("unit", day=pl.lit(self.day, pl.Date)).unique("unit")
        fresh = fresh.join(self.known, on=("unit", "day"), how="anti")
        units = tally.add(
            self.units, watched.select("slice", "unit", adverse=pl.col("numerator") > 0, before=before), after
        )
        return replace(
            self, seen={**self.seen, part: upto}, units=units, known=pl.concat([self.known, fresh]).rechunk()
        )

    def good(self, watched: pl.DataFrame) -> pl.Series:
        """Which observations [n] are of units known to be good: now, or lately where nothing is known of them now."""
        now = watched["denominator"] > 0
        lately = pl.concat([self.known["unit"], watched["unit"].filter(now.fill_null(False))]).unique()
        return now.fill_null(watched["unit"].is_in(lately.implode()))

    def save(self, folder: Path) -> None:
        """Write the state in place of the one that is there; what no look will ask for again is left out."""
        recent = max(self.seen.values(), default=self.since) - 2 * LATE
        told = {
            "format": FORMAT,
            "day": self.day.isoformat(),
            "champion": self.champion,
            "previous": self.previous,
            "since": self.since.isoformat(),
            "seen": {part: at.isoformat() for part, at in self.seen.items() if at > recent},
        }
        with atomic_folder(folder) as out:
            self.units.write_parquet(out / "units.parquet")
            self.known.write_parquet(out / "known.parquet")
            write_json(out / "cursor.json", told)

    @classmethod
    def load(cls, folder: Path) -> "State | None":
        """The state that was saved last."""
        if not (folder / "cursor.json").is_file():
            return None
        told = read_json(folder / "cursor.json")
        if told.get("format") != FORMAT:  # another Headgate's: the day is counted anew
            return None
        return cls(
            date.fromisoformat(told["day"]),
            told["champion"],
            told["previous"],
            datetime.fromisoformat(told["since"]),
            {part: datetime.fromisoformat(at) for part, at in told["seen"].items()},
            pl.read_parquet(folder / "units.parquet"),
            pl.read_parquet(folder / "known.parquet"),
        )
