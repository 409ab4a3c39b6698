"""Shadow: what another version would have decided of the live traffic, on the inputs as they were served.

It reads the decision log, so it costs the requests nothing, and the champion's decisions are those that were answered.
Intervals are over whole units (`gate.ratios`): a user who comes a hundred times is one user.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import polars as pl

from headgate.contract.checks import Check
from headgate.contract.predictor import Predictor
from headgate.decisions.observed import watched_rows
from headgate.decisions.reading import parts
from headgate.decisions.redeciding import Redecider
from headgate.decisions.tally import EVERYTHING
from headgate.domain import Domain
from headgate.errors import DataRefused
from headgate.gate.ratios import difference, ratio
from headgate.registry import versions
from headgate.settings import Settings

#: How far back is looked where nothing is said.
DAY = timedelta(days=1)

_SUMS = ("decisions", "adverse", "would", "newly", "freed", "good", "good_newly", "good_freed")


@dataclass(frozen=True)
class Line:
    """A slice. Shares are of its decisions; `low` and `high` a 95 % interval of the paired difference of shares."""

    slice: str
    decisions: int
    units: int
    adverse: float  # share of adverse decisions, as it was decided
    would: float  # share, as the version would have
    low: float
    high: float
    newly: int  # decided adversely by the version alone
    freed: int  # … by whoever decided alone
    good: int  # decisions on units known to be good, and the same of them
    good_newly: int
    good_freed: int
    good_high: float  # upper end of the 95 % interval of good_newly / good


@dataclass(frozen=True)
class Shadowed:
    """A version beside those that decided."""

    domain: str
    version: int
    since: str
    until: str
    lines: tuple[Line, ...]  # all traffic first

    def words(self) -> str:
        """A table, one line a slice."""
        head = (
            f"{self.domain} version {self.version} beside what was decided from {self.since} to {self.until}\n"
            f"{'slice':<24}{'decisions':>11}{'adverse':>9}{'would':>8}  {'difference':<20}{'newly':>8}{'freed':>8}"
            f"{'good':>9}{'newly':>7}{'freed':>7}"
        )
        rows = [
            f"{one.slice:<24}{one.decisions:>11,}{one.adverse:>9.2%}{one.would:>8.2%}  "
            f"{f'{one.low:+.2%} … {one.high:+.2%}':<20}{one.newly:>8,}{one.freed:>8,}"
            f"{one.good:>9,}{one.good_newly:>7,}{one.good_freed:>7,}"
            for one in self.lines
        ]
        return "\n".join([head, *rows])


def run_shadow(
    settings: Settings, domain: Domain, wanted: str, since: datetime | None = None, until: datetime | None = None
) -> Shadowed:
    """The version or alias `wanted` on what was decided in [since, until); the last day, where nothing is said."""
    version = versions.wanted(settings, domain.name, wanted)
    until = until or datetime.now(UTC)
    since = since or until - DAY
    lines = compare(settings, domain, domain.load(versions.fetch(version, settings)), since, until)
    if not lines:
        raise DataRefused(
            f"The decision log of {domain.name} has nothing from {since:%Y-%m-%d %H:%M} to {until:%Y-%m-%d %H:%M} that "
            "can be decided again: name another time with --from and --to."
        )
    begins, ends = (at.isoformat(timespec="minutes") for at in (since, until))
    return Shadowed(domain.name, version.number, begins, ends, tuple(lines))


def shadow_check(settings: Settings, domain: Domain, wanted: str) -> Check:
    """Whether the version was held against enough live decisions since it was made, and harmed few known to be good."""
    demanded = domain.limits.shadow_decisions
    watch = domain.limits.watch
    bound = watch.wronged if watch else 1.0
    asked = f"≥ {demanded:,} decisions, ≤ {bound:.1%} of good"
    if not demanded:
        return Check("change", "shadow", "not judged", "review", "–", "–", f"{domain.name} asks for no shadow.")
    version = versions.wanted(settings, domain.name, wanted)
    made, now = datetime.fromtimestamp(version.created_ms / 1000, UTC), datetime.now(UTC)
    lines = compare(settings, domain, domain.load(versions.fetch(version, settings)), made, now)
    count = lines[0].decisions if lines else 0
    if count < demanded:
        sentence = (
            f"It was held against {count:,} live decisions since it was made, {demanded:,} are asked for: it waits. "
            f"`headgate shadow {domain.name} --version {version.number}` shows them."
        )
        return Check("change", "shadow", "failed", "review", f"{count:,} decisions", asked, sentence)
    whole = lines[0]
    passed = whole.good_high <= bound
    measured = f"{count:,} decisions, ≤ {whole.good_high:.2%} of good"
    sentence = (
        f"Of its decisions on {whole.good:,} live ones of units known to be good {whole.good_newly:,} are newly "
        f"adverse, {whole.good_high:.2%} at most with 95 % confidence."
    )
    return Check("change", "shadow", "passed" if passed else "failed", "review", measured, asked, sentence)


def compare(settings: Settings, domain: Domain, other: Predictor, since: datetime, until: datetime) -> list[Line]:
    """`other` beside what was decided in [since, until), all traffic first; nothing where nothing can be held."""
    sums, again = pl.DataFrame(), Redecider(settings, domain, other)
    for _, rows in parts(settings, domain.logs.log, since, until):
        decided = rows.filter(pl.col("role") != "default")
        if len(decided):
            sums = _sum([sums, _count(domain, again, decided)])
    if not len(sums):
        return []
    whole = _line(EVERYTHING, _sum([sums.with_columns(slice=pl.lit(EVERYTHING))]))
    slices = [_line(str(name), rows) for (name,), rows in sums.group_by("slice")]
    return [whole, *sorted(slices, key=lambda line: -line.decisions)]


def _count(domain: Domain, again: Redecider, rows: pl.DataFrame) -> pl.DataFrame:
    """Sums by slice and unit of what both decide."""
    watch, decides = domain.limits.watch, domain.decides
    others = again(rows)
    both = rows.select(
        "slice",
        unit=watched_rows(domain, watch, rows)["unit"] if watch else pl.col("decision_id"),
        good=watched_rows(domain, watch, rows)["denominator"] > 0 if watch else pl.lit(False),
        adverse=decides.is_adverse(),
        would=others.select(decides.is_adverse()).to_series(),
    ).drop_nulls(["would", "adverse"])
    good = pl.col("good").fill_null(False)
    newly, freed = pl.col("would") & ~pl.col("adverse"), pl.col("adverse") & ~pl.col("would")
    counted = {"decisions": pl.lit(True), "adverse": pl.col("adverse"), "would": pl.col("would")}
    counted |= {"newly": newly, "freed": freed, "good": good, "good_newly": good & newly, "good_freed": good & freed}
    return both.select("slice", "unit", **{name: value.cast(pl.Int64) for name, value in counted.items()})


def _sum(tables: list[pl.DataFrame]) -> pl.DataFrame:
    filled = [table for table in tables if len(table)]
    return pl.concat(filled).group_by("slice", "unit").agg(pl.col(_SUMS).sum()) if filled else pl.DataFrame()


def _line(name: str, units: pl.DataFrame) -> Line:
    value = {column: units[column].cast(pl.Float64).to_numpy() for column in _SUMS}
    total = {column: int(units[column].sum()) for column in _SUMS}
    apart = difference(value["would"], value["decisions"], value["adverse"], value["decisions"], share=True)
    low, high = apart.interval(0.95)
    harmed = ratio(value["good_newly"], value["good"], share=True)
    return Line(
        name,
        total["decisions"],
        len(units),
        total["adverse"] / total["decisions"],
        total["would"] / total["decisions"],
        low,
        high,
        total["newly"],
        total["freed"],
        total["good"],
        total["good_newly"],
        total["good_freed"],
        1.0 if harmed.high is None else harmed.high,
    )
