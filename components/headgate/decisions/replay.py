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

from headgate.contract.outcomes import Outcomes
from headgate.data import datasets
from headgate.decisions import corrections, reading
from headgate.decisions.observed import watched_rows
from headgate.decisions.redeciding import Redecider, redecide
from headgate.domain import Domain
from headgate.errors import DataRefused, UsageError
from headgate.registry import versions
from headgate.registry.changes import Refused
from headgate.registry.ledger import Entry, Ledger, me
from headgate.registry.ledger_state import state_of
from headgate.registry.versions import Version
from headgate.settings import Settings

#: logged: on what was known as it was decided; recompute: on what is rebuilt from the log, in event time.
Mode = Literal["logged", "recompute"]


@dataclass(frozen=True)
class Asked:
    """What is to be decided again: all in [since, until), or with `pending` only what was answered by default."""

    domain: Domain
    since: datetime
    until: datetime
    mode: Mode = "logged"
    pending: bool = False
    dry_run: bool = False
    out: str | None = None  # where a copy of the corrections goes: a folder, or s3://bucket/prefix
    reason: str = ""

    def __post_init__(self) -> None:
        """Raise UsageError where there is nothing to decide, or nothing that is over."""
        if self.mode not in get_args(Mode):
            raise UsageError(f"There is no mode {self.mode!r}: choose logged or recompute.")
        redecide(self.domain)
        if self.mode == "recompute" and self.domain.logs.recompute is None:
            raise UsageError(f"{self.domain.name} counts nothing that could be rebuilt: use --mode logged.")
        if self.since >= self.until:
            raise UsageError("The replay ends before it begins: check --from and --to.")
        if self.until > datetime.now(UTC):
            raise UsageError(f"--to {self.until.isoformat()} is not over yet: a replay decides the past.")

    def identity(self, bundle: str) -> str:
        """The replay's id: what it decides, and with what."""
        told = [
            self.domain.name,
            *(at.astimezone(UTC).isoformat() for at in (self.since, self.until)),
            bundle,
            self.mode,
        ]
        if self.pending:
            told.append("pending")
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Change:
    """What changes in one slice."""

    slice: str
    decisions: int
    newly_adverse: int
    newly_not: int  # adverse before, and no longer
    otherwise: int  # another outcome, as adverse as before or as little
    good: int  # decisions about what is known to be good
    good_newly_adverse: int
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
    newly_adverse: int  # published by this run, or to be
    newly_not: int
    otherwise: int
    published: int  # by this replay in all, earlier runs included
    ruled: int  # would change, but a person has ruled on them
    undecided: int  # hold nothing that this version could decide by
    missing: int  # rows that the log lost in this time
    slices: tuple[Change, ...]
    adverse: str  # what an adverse decision is, in words
    gone: tuple[str, ...] = ()  # companions that rows name and nobody has any more, in sentences
    delivered: int = 0  # files copied to `out`

    def words(self) -> str:
        """What changed, a table by slice, and what a reader must know."""
        verb, no_longer = ("would be", "would be no longer") if self.dry_run else ("are now", "are no longer")
        lines = [
            f"{self.domain} version {self.version} on {self.decisions:,} logged decisions ({self.mode}): "
            f"{self.newly_adverse:,} {verb} {self.adverse}, {self.newly_not:,} {no_longer}. Replay {self.replay}."
        ]
        changed_now = self.newly_adverse + self.newly_not + self.otherwise
        before = self.published - (0 if self.dry_run else changed_now)
        notes = {
            f"{verb} decided otherwise, as adverse as before or as little": self.otherwise,
            "corrections of this replay had been published before": before,
            "a person has ruled on; they stay": self.ruled,
            "hold nothing to decide by; they stay (where the domain can, --mode recompute rebuilds it)": self.undecided,
            "were lost as they were logged, and cannot be decided again": self.missing,
        }
        lines += [f"{count:,} {what}." for what, count in notes.items() if count]
        lines += self.gone
        if changed := [one for one in self.slices if one.newly_adverse or one.newly_not or one.otherwise]:
            heads = ("decisions", f"newly {self.adverse}", "no longer", "good", f"good, newly {self.adverse}")
            widths = [max(len(head), 9) for head in heads]
            lines += ["", "  ".join([f"{'slice':<22}", *(f"{h:>{w}}" for h, w in zip(heads, widths, strict=True))])]
            for one in changed:
                counts = (one.decisions, one.newly_adverse, one.newly_not, one.good, one.good_newly_adverse)
                cells = (f"{count:>{w},}" for count, w in zip(counts, widths, strict=True))
                lines.append("  ".join([f"{one.slice:<22}", *cells]))
        return "\n".join(lines)


def replay_decisions(settings: Settings, wanted: str, asked: Asked, who: str | None = None) -> Replayed:
    """Decide again with the version that has the number or alias `wanted`.

    Raises `Refused` if the ledger does not let that version serve, unless it is a dry run.
    """
    version = versions.wanted(settings, asked.domain.name, wanted)
    _allow(settings, version, asked)
    predictor = asked.domain.load(versions.fetch(version, settings))
    return run(settings, version, predictor, asked, who)


def run(settings: Settings, version: Version, predictor: Any, asked: Asked, who: str | None = None) -> Replayed:
    """Decide again with a loaded `version`. One replay of a domain publishes at a time."""
    _allow(settings, version, asked)
    name, identity = asked.domain.name, asked.identity(version.bundle)
    if asked.dry_run:
        return _decided(settings, version, predictor, asked, identity)
    with datasets.exclusively(settings, name, suffix="replay.lock"):
        corrections.tidy(settings, name)
        deliver = partial(corrections.deliver, settings, name, identity)
        before = deliver(asked.out) if asked.out else 0  # what a killed run left; tells early where `out` is none
        done = _decided(settings, version, predictor, asked, identity)
        if asked.out:
            done = replace(done, delivered=before + deliver(asked.out))
        _enter(settings, version, asked, done, who or me())
    return done


def _allow(settings: Settings, version: Version, asked: Asked) -> None:
    """Raise `Refused` where `version` may not decide in earnest."""
    may = asked.dry_run or state_of(Ledger(settings).entries(asked.domain.name)).may_serve(
        version.number, version.bundle
    )
    if not may:
        raise Refused(
            f"{asked.domain.name} version {version.number} may not serve, so it corrects nothing: the ledger holds no "
            "passed verdict on it. See what it would change with --dry-run."
        )


def _decided(settings: Settings, version: Version, predictor: Any, asked: Asked, identity: str) -> Replayed:
    """Go through the log part by part; what differs is published unless it is a dry run."""
    domain, live, decide = asked.domain, asked.domain.logs, Redecider(settings, asked.domain, predictor)
    read = partial(reading.parts, settings, live.log)
    logged = partial(live.recompute, read) if asked.mode == "recompute" and live.recompute else read
    named = {"version": version.number, "bundle": version.bundle, "mode": asked.mode}
    tallies, ruled, undecided, seen = [_tally(_NOTHING, domain.decides)], 0, 0, 0
    for part, rows in logged(asked.since, asked.until):
        seen += len(rows)
        if asked.pending:
            rows = rows.filter(pl.col("role") == "default")
        held = reading.effective(settings, live.log, rows, part)
        told = held.select("decision_id", "ruled", before="outcome", good=_good(domain, held))
        told = told.hstack(decide(held))
        known = told.filter(pl.col("outcome").is_not_null())
        undecided += len(told) - len(known)
        differs = known.filter(pl.col("outcome") != pl.col("before"))
        changed = differs.filter(~pl.col("ruled"))
        ruled += len(differs) - len(changed)
        tallies.append(_tally(known, domain.decides))
        if len(changed) and not asked.dry_run:
            values = changed.with_columns(**{name: pl.lit(value) for name, value in named.items()})
            corrections.publish(settings, live.log, identity, part, values)
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
        newly_adverse=sum(one.newly_adverse for one in slices),
        newly_not=sum(one.newly_not for one in slices),
        otherwise=sum(one.otherwise for one in slices),
        published=corrections.published(settings, domain.name, identity),
        ruled=ruled,
        undecided=undecided,
        missing=sum(gap.rows for gap in reading.gaps(settings, domain.name, asked.since, asked.until)),
        slices=slices,
        adverse=domain.decides.adverse_words,
        gone=tuple(decide.gone),
    )


#: No decisions.
_NOTHING = pl.DataFrame(
    schema={"slice": pl.String, "ruled": pl.Boolean, "good": pl.Boolean, "outcome": pl.String, "before": pl.String}
)


def _good(domain: Domain, rows: pl.DataFrame) -> pl.Series:
    """Which of `rows` are of units known to be good."""
    watch = domain.limits.watch
    if watch is None:
        return pl.Series([False] * len(rows), dtype=pl.Boolean)
    return watched_rows(domain, watch, rows)["denominator"].fill_null(0.0) > 0


def _tally(known: pl.DataFrame, outcomes: Outcomes) -> pl.DataFrame:
    """`Change` by slice."""
    now, before, stays = outcomes.is_adverse(), outcomes.is_adverse("before"), pl.col("ruled")
    on, off, good = now & ~before & ~stays, ~now & before & ~stays, pl.col("good")
    return known.group_by("slice").agg(
        decisions=pl.len().cast(pl.Int64),
        newly_adverse=on.sum().cast(pl.Int64),
        newly_not=off.sum().cast(pl.Int64),
        otherwise=((pl.col("outcome") != pl.col("before")) & (now == before) & ~stays).sum().cast(pl.Int64),
        good=good.sum().cast(pl.Int64),
        good_newly_adverse=(on & good).sum().cast(pl.Int64),
        good_newly_not=(off & good).sum().cast(pl.Int64),
    )


def _enter(settings: Settings, version: Version, asked: Asked, done: Replayed, who: str) -> None:
    """Note the replay in the ledger once, and again only if it has published more since."""
    ledger = Ledger(settings)
    mine = [
        e for e in ledger.entries(asked.domain.name) if e.what == "replayed" and e.details.get("replay") == done.replay
    ]
    if mine and mine[-1].details["published"] == done.published:
        return
    asks = {"from": asked.since.isoformat(), "to": asked.until.isoformat(), "pending": asked.pending, "out": asked.out}
    counts = {name: value for name, value in asdict(done).items() if name in _COUNTS}
    ledger.append(
        Entry(
            asked.domain.name,
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
