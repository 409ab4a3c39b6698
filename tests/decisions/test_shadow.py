"""Shadow: another version on the same live decisions, slice by slice, and the check that the gate can demand."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from headgate import domains
from headgate.decisions.reading import parts
from headgate.decisions.shadow import run_shadow, shadow_check
from headgate.decisions.tally import EVERYTHING
from headgate.domain import get_domain, live_of
from headgate.errors import DataRefused
from headgate.registry import versions

from ..registry.conftest import DOMAIN, Registry, registry, settings
from .made import SLICES, START, make_log

__all__ = ["registry", "settings"]

CLICKS = 6_000


class Versions:
    """The fakes that stand in for bundles: each is an expression over the logged rows."""

    same, harsh = pl.col("against"), pl.col("against").is_not_null()
    harsh_on_robots = pl.col("against") | (pl.col("rfm").is_null() & (pl.col("slice") == "desktop"))


@pytest.fixture
def candidate(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, pl.Expr]]:
    """Version 2 decides by what is put in the dictionary under "rule"; 1,000 live decisions are demanded of it."""
    rule = {"rule": Versions.same}
    there, live = get_domain(DOMAIN), live_of(DOMAIN)
    fake = replace(
        there,
        load=lambda bundle: bundle,
        live=replace(live, redecide=lambda predictor, rows: rows.select(against=rule["rule"])),
        limits=replace(there.limits, shadow_decisions=1_000),
    )
    monkeypatch.setattr(domains, "get_domain", lambda name: fake)
    monkeypatch.setattr(versions, "fetch", lambda version, settings: Path())
    registry.line(1)
    registry.register("review")
    return rule


def day(registry: Registry) -> dict[str, object]:
    make_log(registry.settings, CLICKS)
    return {"since": START, "until": START + timedelta(days=1)}


def test_a_version_that_decides_the_same_differs_nowhere(registry: Registry, candidate: dict[str, pl.Expr]) -> None:
    found = run_shadow(registry.settings, DOMAIN, "2", **day(registry))
    assert found.lines[0].slice == EVERYTHING
    assert {line.slice for line in found.lines} == {EVERYTHING, *SLICES}
    assert found.lines[0].decisions == CLICKS == sum(line.decisions for line in found.lines[1:])
    for line in found.lines:
        assert (line.newly, line.freed, line.good_newly) == (0, 0, 0)
        assert line.against == line.would
        assert line.low <= 0 <= line.high


def test_what_changes_is_told_by_slice_with_its_interval(registry: Registry, candidate: dict[str, pl.Expr]) -> None:
    candidate["rule"] = Versions.harsh_on_robots
    found = {line.slice: line for line in run_shadow(registry.settings, DOMAIN, "2", **day(registry)).lines}
    rows = pl.concat([rows for _, rows in parts(registry.settings, DOMAIN)])
    changed = rows.filter(~pl.col("against"), pl.col("rfm").is_null(), pl.col("slice") == "desktop")
    assert found["desktop"].newly == found[EVERYTHING].newly == len(changed)
    assert found["desktop"].low > 0
    assert found["mobile/in"].newly == 0
    assert found["desktop"].good_newly == 0, "nobody who is known to be good"
    assert found["desktop"].units == rows.filter(pl.col("slice") == "desktop")["user_id"].n_unique()


def test_the_table_reads_well(registry: Registry, candidate: dict[str, pl.Expr]) -> None:
    words = run_shadow(registry.settings, DOMAIN, "2", **day(registry)).words()
    assert "adclicks version 2" in words
    assert "desktop" in words


def test_a_time_without_decisions_is_said(registry: Registry, candidate: dict[str, pl.Expr]) -> None:
    with pytest.raises(DataRefused, match="--from and --to"):
        run_shadow(registry.settings, DOMAIN, "2", START, START + timedelta(days=1))


def live(registry: Registry, n: int) -> None:
    """Decisions from the instant on at which the version was made."""
    made = registry.version(2).created_ms
    start = START.fromtimestamp(made / 1000, START.tzinfo) + timedelta(milliseconds=1)
    make_log(registry.settings, n, start=start, span=timedelta(milliseconds=20))


def test_too_few_live_decisions_wait_for_review(registry: Registry, candidate: dict[str, pl.Expr]) -> None:
    live(registry, 400)
    day(registry)  # from long before the version was made: what it may have learned from
    check = shadow_check(registry.settings, DOMAIN, "2")
    assert (check.outcome, check.consequence, check.family, check.name) == ("failed", "review", "change", "shadow")
    assert check.measured == "400 decisions"


def test_enough_live_decisions_without_harm_pass(registry: Registry, candidate: dict[str, pl.Expr]) -> None:
    candidate["rule"] = Versions.harsh_on_robots
    live(registry, 6_000)
    assert shadow_check(registry.settings, DOMAIN, "2").outcome == "passed"


def test_harm_to_those_known_to_be_good_fails(registry: Registry, candidate: dict[str, pl.Expr]) -> None:
    candidate["rule"] = Versions.harsh
    live(registry, 6_000)
    check = shadow_check(registry.settings, DOMAIN, "2")
    assert (check.outcome, check.consequence) == ("failed", "review")
    assert "known to be good" in check.sentence
