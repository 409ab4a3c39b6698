"""Shadow: another version on the same live decisions, slice by slice, and the check that the gate can demand."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from headgate.decisions.shadow import Shadowed, run_shadow, shadow_check
from headgate.decisions.tally import EVERYTHING
from headgate.errors import DataRefused, UsageError

from ..registry.conftest import Registry, registry
from ..toy import ROOMS
from .bundles import register
from .made import SLICES, START, make_rows, write_part

__all__ = ["registry"]

READINGS = 6_000

#: The toy, whose gate demands 1,000 live decisions of a candidate.
DEMANDING = replace(ROOMS, limits=replace(ROOMS.limits, shadow_decisions=1_000))

#: What the champion holds for too cold or too hot; guests are comfortable well within.
WIDTH, COMFORTABLE = 5.0, pl.col("degrees").is_between(18, 22)


def log(registry: Registry, n: int, start: datetime = START, **every: timedelta) -> pl.DataFrame:
    """Log `n` readings as version 1 decides them, a second apart unless told otherwise."""
    off = pl.col("degrees") - pl.col("usual")
    outcome = pl.when(off < -WIDTH).then(pl.lit("cold")).when(off > WIDTH).then(pl.lit("hot")).otherwise(pl.lit("fine"))
    rows = make_rows(n, start=start, **every).with_columns(
        outcome=outcome, comfortable=pl.when(COMFORTABLE).then(pl.lit(True))
    )
    write_part(registry.settings, rows)
    return rows


def shadow(registry: Registry, **of: Any) -> Shadowed:
    """A version, in whose bundle all is `of` it, beside a day of version 1."""
    registry.promote(register(registry, WIDTH))
    register(registry, of.pop("width", WIDTH), **of)
    return run_shadow(registry.settings, ROOMS, "2", START, START + timedelta(days=1))


def by_slice(found: Shadowed) -> Mapping[str, Any]:
    return {line.slice: line for line in found.lines}


def test_a_version_that_decides_the_same_differs_nowhere(registry: Registry) -> None:
    log(registry, READINGS)
    found = shadow(registry)
    assert found.lines[0].slice == EVERYTHING
    assert {line.slice for line in found.lines} == {EVERYTHING, *SLICES}
    assert found.lines[0].decisions == READINGS == sum(line.decisions for line in found.lines[1:])
    for line in found.lines:
        assert (line.newly, line.freed, line.good_newly) == (0, 0, 0)
        assert line.adverse == line.would > 0
        assert line.low <= 0 <= line.high


def test_what_changes_is_told_by_slice_with_its_interval(registry: Registry) -> None:
    rows = log(registry, READINGS)
    found = by_slice(shadow(registry, cellar=23.0))
    cellar = rows.filter(slice="cellar")
    newly, freed = cellar.filter(pl.col("degrees").is_between(15, 17)), cellar.filter(pl.col("degrees") > 25)
    assert found["cellar"].newly == found[EVERYTHING].newly == len(newly) > 0
    assert found["cellar"].freed == len(freed.filter(pl.col("degrees") <= 28)) > 0
    assert found["attic"].newly == 0
    assert found["cellar"].good_newly == 0, "nobody who is known to be comfortable"
    assert found["cellar"].good == cellar["comfortable"].sum()
    assert found["cellar"].units == cellar["guest"].n_unique()
    change = found["cellar"].would - found["cellar"].adverse
    assert found["cellar"].low < change < found["cellar"].high


def test_what_is_as_adverse_as_before_is_neither_newly_adverse_nor_freed(registry: Registry) -> None:
    """Every reading of the attic is too cold then, those too that were too hot."""
    rows = log(registry, READINGS)
    attic = by_slice(shadow(registry, attic=60.0))["attic"]
    assert rows.filter(slice="attic", outcome="hot").height > 0
    assert attic.newly == rows.filter(slice="attic", outcome="fine").height
    assert (attic.freed, attic.would) == (0, 1.0)


def test_a_room_that_the_version_knows_nothing_of_is_left_out(registry: Registry) -> None:
    rows = make_rows(10, adverse=0.0)
    write_part(registry.settings, rows.with_columns(room=pl.lit("garage"), slice=pl.lit("garage")))
    log(registry, 100, start=START + timedelta(hours=1))
    found = shadow(registry)
    assert found.lines[0].decisions == 100
    assert "garage" not in by_slice(found)


def test_answers_by_default_are_no_decisions(registry: Registry) -> None:
    write_part(registry.settings, make_rows(10).with_columns(role=pl.lit("default")))
    with pytest.raises(DataRefused, match="can be decided again"):
        shadow(registry)


def test_the_table_reads_well(registry: Registry) -> None:
    log(registry, 100)
    words = shadow(registry).words()
    assert "rooms version 2" in words
    assert "cellar" in words


def test_a_time_without_decisions_is_said(registry: Registry) -> None:
    with pytest.raises(DataRefused, match="--from and --to"):
        shadow(registry)


def test_a_domain_that_logs_nothing_to_decide_by_is_told_so(registry: Registry) -> None:
    log(registry, 10)
    register(registry, WIDTH)
    told = replace(ROOMS, live=replace(ROOMS.logs, redecide=None))
    with pytest.raises(UsageError, match=r"^rooms logs nothing to decide by, so what was decided cannot be"):
        run_shadow(registry.settings, told, "1", START, START + timedelta(days=1))


def live(registry: Registry, n: int, width: float = WIDTH) -> None:
    """A candidate, and decisions from the instant on at which it was made."""
    registry.promote(register(registry, WIDTH))
    number = register(registry, width, "review")
    made = datetime.fromtimestamp(registry.version(number).created_ms / 1000, UTC)
    log(registry, n, made + timedelta(milliseconds=1), every=timedelta(microseconds=3))


def test_too_few_live_decisions_wait_for_review(registry: Registry) -> None:
    log(registry, READINGS)  # from long before the version was made: what it may have learned from
    live(registry, 400)
    check = shadow_check(registry.settings, DEMANDING, "2")
    assert (check.outcome, check.consequence, check.family, check.name) == ("failed", "review", "change", "shadow")
    assert check.measured == "400 decisions"


def test_enough_live_decisions_without_harm_pass(registry: Registry) -> None:
    live(registry, READINGS, width=3.0)
    assert shadow_check(registry.settings, DEMANDING, "2").outcome == "passed"


def test_harm_to_those_known_to_be_good_fails(registry: Registry) -> None:
    live(registry, READINGS, width=0.5)
    check = shadow_check(registry.settings, DEMANDING, "2")
    assert (check.outcome, check.consequence) == ("failed", "review")
    assert "known to be good" in check.sentence


def test_a_domain_that_asks_for_no_shadow_is_not_judged(registry: Registry) -> None:
    assert shadow_check(registry.settings, ROOMS, "2").outcome == "not judged"
