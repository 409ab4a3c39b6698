"""Decide past events again with another version, and publish only what differs from the decision that holds.

What holds is the log with everything published since, and above all people's rulings, which no replay overturns. So a
replay needs no memory of how far it came: one that was killed is run again, finds what it had published to hold, and
adds the rest. One file for each part of the log appears whole or not at all.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, Literal, get_args

import polars as pl

from headgate import domains
from headgate.data import datasets
from headgate.decisions import corrections, reading
from headgate.domain import Domain
from headgate.errors import DataRefused, UsageError
from headgate.registry import versions
from headgate.registry.changes import Refused
from headgate.registry.ledger import Entry, Ledger, me
from headgate.registry.standing import standing
from headgate.registry.versions import Version
from headgate.settings import Settings

#: logged: on what was known as it was decided; recompute: on what is rebuilt from the log, in event time.
Mode = Literal["logged", "recompute"]


@dataclass(frozen=True)
class Asked:
    """What is to be decided again: all in [since, until), or with `pending` only what was answered by default."""

    domain: str
    since: datetime
    until: datetime
    mode: Mode = "logged"
    pending: bool = False
    dry_run: bool = False
    out: str | None = None  # where a copy of the corrections goes: a folder, or s3://bucket/prefix
    reason: str = ""

    def __post_init__(self) -> None:
        """Raise UsageError where there is nothing to decide, or nothing that is over."""
        domains.get(self.domain)
        if self.mode not in get_args(Mode):
            raise UsageError(f"There is no mode {self.mode!r}: choose logged or recompute.")
        if self.since >= self.until:
            raise UsageError("The replay ends before it begins: check --from and --to.")
        if self.until > datetime.now(UTC):
            raise UsageError(f"--to {self.until.isoformat()} is not over yet: a replay decides the past.")

    def identity(self, bundle: str) -> str:
        """The replay's id: what it decides, and with what."""
        told = [self.domain, *(at.astimezone(UTC).isoformat() for at in (self.since, self.until)), bundle, self.mode]
        if self.pending:
            told.append("pending")
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Change:
    """What changes in one slice."""

    slice: str
    decisions: int
    newly_against: int
    newly_not: int
    good: int  # decisions about what is known to be good
    good_newly_against: int
    good_newly_not: int


@dataclass(frozen=True)
class Replayed:
    """What a replay did, or would do."""

    domain: str
    version: int
    replay: str
    mode: Mode
    dry_run: bool
    decisions: int
    newly_against: int  # published by this run, or to be
    newly_not: int
    published: int  # by this replay in all, earlier runs included
    ruled: int  # would change, but a person has ruled on them
    undecided: int  # hold nothing that this version could decide by
    missing: int  # rows that the log lost in this time
    slices: tuple[Change, ...]
    noticed: str
    delivered: int = 0  # files copied to `out`

    def words(self) -> str:
        """What changed, a table by slice, and what a reader must know."""
        verb, no_longer = ("would be", "would be no longer") if self.dry_run else ("are now", "are no longer")
        lines = [
            f"{self.domain} version {self.version} on {self.decisions:,} logged decisions ({self.mode}): "
            f"{self.newly_against:,} {verb} {self.noticed}, {self.newly_not:,} {no_longer}. Replay {self.replay}."
        ]
        before = self.published - (0 if self.dry_run else self.newly_against + self.newly_not)
        notes = {
            "corrections of this replay had been published before": before,
            "a person has ruled on; they stay": self.ruled,
            "hold nothing to decide by; they stay (for clicks, --mode recompute rebuilds it)": self.undecided,
            "were lost as they were logged, and cannot be decided again": self.missing,
        }
        lines += [f"{count:,} {what}." for what, count in notes.items() if count]
        if changed := [one for one in self.slices if one.newly_against or one.newly_not]:
            heads = ("decisions", f"newly {self.noticed}", "no longer", "good", f"good, newly {self.noticed}")
            widths = [max(len(head), 9) for head in heads]
            lines += ["", "  ".join([f"{'slice':<22}", *(f"{h:>{w}}" for h, w in zip(heads, widths, strict=True))])]
            for one in changed:
                counts = (one.decisions, one.newly_against, one.newly_not, one.good, one.good_newly_against)
                cells = (f"{count:>{w},}" for count, w in zip(counts, widths, strict=True))
                lines.append("  ".join([f"{one.slice:<22}", *cells]))
        return "\n".join(lines)


def replay(settings: Settings, wanted: str, asked: Asked, who: str | None = None) -> Replayed:
    """Decide again with the version that has the number or alias `wanted`.

    Raises `Refused` if the ledger does not let that version serve, unless it is a dry run.
    """
    version = versions.wanted(settings, asked.domain, wanted)
    _allow(settings, version, asked)
    predictor = domains.get(asked.domain).load(versions.fetch(version, settings))
    return run(settings, version, predictor, asked, who)


def run(settings: Settings, version: Version, predictor: Any, asked: Asked, who: str | None = None) -> Replayed:
    """Decide again with a loaded `version`. One replay of a domain publishes at a time."""
    _allow(settings, version, asked)
    domain, identity = domains.get(asked.domain), asked.identity(version.bundle)
    if asked.dry_run:
        return _decided(settings, domain, version, predictor, asked, identity)
    with datasets.exclusively(settings, asked.domain, suffix="replay.lock"):
        corrections.tidy(settings, asked.domain)
        deliver = partial(corrections.deliver, settings, asked.domain, identity)
        before = deliver(asked.out) if asked.out else 0  # what a killed run left; tells early where `out` is none
        done = _decided(settings, domain, version, predictor, asked, identity)
        if asked.out:
            done = replace(done, delivered=before + deliver(asked.out))
        _enter(settings, version, asked, done, who or me())
    return done


def _allow(settings: Settings, version: Version, asked: Asked) -> None:
    """Raise `Refused` where `version` may not decide in earnest."""
    may = asked.dry_run or standing(Ledger(settings).entries(asked.domain)).may_serve(version.number, version.bundle)
    if not may:
        raise Refused(
            f"{asked.domain} version {version.number} may not serve, so it corrects nothing: the ledger holds no "
            "passed verdict on it. See what it would change with --dry-run."
        )


def _decided(
    settings: Settings, domain: Domain, version: Version, predictor: Any, asked: Asked, identity: str
) -> Replayed:
    """Go through the log part by part; what differs is published unless it is a dry run."""
    live, read = domains.live(domain.name), partial(reading.parts, settings, domain.name)
    logged = read if asked.mode == "logged" else partial(live.recompute, read)
    named = {"version": version.number, "bundle": version.bundle, "mode": asked.mode}
    tallies, ruled, undecided, seen = [_tally(_NOTHING)], 0, 0, 0
    for part, rows in logged(asked.since, asked.until):
        seen += len(rows)
        if asked.pending:
            rows = rows.filter(pl.col("role") == "default")
        held = reading.effective(settings, domain.name, rows, part)
        told = held.select("decision_id", "ruled", before="against", good=live.watched(held)["good"])
        told = told.hstack(live.redecide(predictor, held))
        known = told.filter(pl.col("against").is_not_null())
        undecided += len(told) - len(known)
        differs = known.filter(pl.col("against") != pl.col("before"))
        changed = differs.filter(~pl.col("ruled"))
        ruled += len(differs) - len(changed)
        tallies.append(_tally(known))
        if len(changed) and not asked.dry_run:
            values = changed.with_columns(**{name: pl.lit(value) for name, value in named.items()})
            corrections.publish(settings, domain.name, identity, part, values)
    if not seen:
        raise DataRefused(
            f"The decision log of {domain.name} has nothing from {asked.since:%Y-%m-%d %H:%M} to "
            f"{asked.until:%Y-%m-%d %H:%M}: check --from and --to, in UTC where they name no offset."
        )
    sums = pl.concat(tallies).group_by("slice").sum().sort("slice")
    slices = tuple(Change(**row) for row in sums.iter_rows(named=True))
    return Replayed(
        domain=domain.name,
        version=version.number,
        replay=identity,
        mode=asked.mode,
        dry_run=asked.dry_run,
        decisions=sum(one.decisions for one in slices),
        newly_against=sum(one.newly_against for one in slices),
        newly_not=sum(one.newly_not for one in slices),
        published=corrections.published(settings, domain.name, identity).rows,
        ruled=ruled,
        undecided=undecided,
        missing=sum(gap.rows for gap in reading.gaps(settings, domain.name, asked.since, asked.until)),
        slices=slices,
        noticed=domain.noticed,
    )


#: No decisions.
_NOTHING = pl.DataFrame(
    schema={"slice": pl.String, "ruled": pl.Boolean, "good": pl.Boolean, "against": pl.Boolean, "before": pl.Boolean}
)


def _tally(known: pl.DataFrame) -> pl.DataFrame:
    """`Change` by slice."""
    on = pl.col("against") & ~pl.col("before") & ~pl.col("ruled")
    off = ~pl.col("against") & pl.col("before") & ~pl.col("ruled")
    good = pl.col("good").fill_null(False)
    return known.group_by("slice").agg(
        decisions=pl.len().cast(pl.Int64),
        newly_against=on.sum().cast(pl.Int64),
        newly_not=off.sum().cast(pl.Int64),
        good=good.sum().cast(pl.Int64),
        good_newly_against=(on & good).sum().cast(pl.Int64),
        good_newly_not=(off & good).sum().cast(pl.Int64),
    )


def _enter(settings: Settings, version: Version, asked: Asked, done: Replayed, who: str) -> None:
    """Note the replay in the ledger once, and again only if it has published more since."""
    ledger = Ledger(settings)
    mine = [e for e in ledger.entries(asked.domain) if e.what == "replayed" and e.details.get("replay") == done.replay]
    if mine and mine[-1].details["published"] == done.published:
        return
    asks = {"from": asked.since.isoformat(), "to": asked.until.isoformat(), "pending": asked.pending, "out": asked.out}
    counts = {name: value for name, value in asdict(done).items() if name in _COUNTS}
    ledger.append(
        Entry(
            asked.domain,
            "replayed",
            who,
            asked.reason,
            to_version=version.number,
            bundle=version.bundle,
            run_id=version.run_id,
            details=asks | counts,
        )
    )


#: What the ledger keeps beside what was asked: nothing in which a run differs from one that was cut off and resumed.
_COUNTS = ("replay", "mode", "decisions", "published", "ruled", "undecided")
