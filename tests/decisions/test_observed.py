"""The feedback loop: what was decided, scored by the very function that evaluates a version."""

import tempfile
from dataclasses import asdict, replace
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from headgate import settings as settings_module
from headgate.contract.observations import observations, units_of
from headgate.decisions.observed import LIVE, live_scorecard
from headgate.decisions.reading import parts
from headgate.decisions.rulings import rule
from headgate.errors import DataRefused, UsageError
from headgate.gate.compare import UNITS
from headgate.gate.ratios import ratio
from headgate.gate.scorecard import scorecard
from headgate.settings import Settings

from ..toy import METRICS, ROOMS, Rooms, observe, readings
from .bundles import make_bundle
from .made import LOG, START, USUAL, make_log, make_rows, write_part

END = START + timedelta(days=1)


def logged(settings: Settings) -> pl.DataFrame:
    return pl.concat([rows for _, rows in parts(settings, LOG)])


def by_name(lines: list[dict]) -> dict[tuple[str, str], dict]:
    return {(line["metric"], line["slice"]): line for line in lines}


def same(lines: list[dict], expected: list[dict]) -> None:
    """Assert that the lines say the same, whatever their order, to what sums in another order differ by."""
    found = by_name(lines)
    assert found.keys() == by_name(expected).keys()
    for name, line in by_name(expected).items():
        assert found[name] == pytest.approx(line), name


@given(n=st.integers(1, 200), part=st.integers(20, 60), adverse=st.floats(0, 1), seed=st.integers(0, 99))
@hypothesis_settings(max_examples=10)
def test_however_the_log_is_cut_it_scores_as_its_rows_do(n: int, part: int, adverse: float, seed: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        here = replace(settings_module.load(), home=Path(folder))
        make_log(here, n, part=part, adverse=adverse, seed=seed)
        found = live_scorecard(here, ROOMS, START, END)
        assert (found.domain, found.rows) == ("rooms", n)
        same(found.scorecard, scorecard(units_of([observe(logged(here))]), METRICS, LIVE))


def test_it_is_what_a_batch_evaluation_of_the_same_readings_says(settings: Settings, tmp_path: Path) -> None:
    """A day of raw files through the stage, and the same readings through the log: the same values and intervals."""
    rows = make_rows(400, adverse=0.0)
    bundle = make_bundle(tmp_path / "bundles", 5.0)
    raw = rows.select("room", "degrees", "guest", "comfortable", day=pl.col("decided_at").dt.date())
    raw.write_parquet(tmp_path / "work/snapshot/days/test/2026-01-05.parquet", mkdir=True)
    (tmp_path / "out").mkdir()
    ROOMS.evaluate(bundle, tmp_path / "work", tmp_path / "out")
    evaluated = pl.read_parquet(tmp_path / "out" / UNITS)
    decided = Rooms(bundle).decide(readings(tmp_path / "work/snapshot/days/test"))
    write_part(settings, rows.with_columns(outcome=decided["outcome"], usual=decided["usual"]))
    found = live_scorecard(settings, ROOMS, START, END).scorecard
    expected = []
    for (metric, name), units in evaluated.group_by("metric", "slice"):
        share = {one.name: one.share for one in METRICS}[str(metric)]
        estimate = ratio(units["numerator"].to_numpy(), units["denominator"].to_numpy(), share=share)
        expected.append({"model": LIVE, "metric": metric, "slice": name, **asdict(estimate)})
    same(found, expected)
    assert by_name(found)["error", "all"]["value"] > 0


def test_what_holds_now_is_scored_and_answers_by_default_are_no_decisions(settings: Settings) -> None:
    """A person ruled that a comfortable guest was rightly woken, or was not: the score follows."""
    rows = make_rows(40, adverse=0.0).with_columns(
        comfortable=pl.lit(True), guest=pl.format("guest {}", pl.int_range(pl.len()))
    )
    default = pl.when(pl.int_range(pl.len()) < 10).then(pl.lit("default")).otherwise(pl.lit("champion"))
    write_part(settings, rows.with_columns(role=default))
    before = live_scorecard(settings, ROOMS, START, END)
    assert before.rows == 30
    assert by_name(before.scorecard)["disturbed", "all"]["value"] == 0
    rule(settings, ROOMS, rows["decision_id"].to_list()[8:13], outcome="hot", who="ann", why="I was there")
    after = by_name(live_scorecard(settings, ROOMS, START, END).scorecard)
    assert after["disturbed", "all"]["value"] == pytest.approx(3 / 30), "two of the five were answered by default"


def test_what_came_later_is_given_to_the_domain(settings: Settings, tmp_path: Path) -> None:
    """A domain whose truth comes later: which rooms were found broken into."""

    def with_truth(rows: pl.DataFrame, truth: Path | None = None) -> pl.DataFrame:
        broken = [] if truth is None else (truth / "broken.txt").read_text().split()
        unit, found = pl.col("guest"), pl.col("room").is_in(broken)
        return observations(
            rows, "missed", unit=unit, numerator=found & (pl.col("outcome") == "fine"), denominator=found
        )

    make_log(settings, 90, adverse=0.0)
    late = replace(ROOMS, live=replace(ROOMS.logs, observe=with_truth))
    (tmp_path / "broken.txt").write_text("cellar")
    assert live_scorecard(settings, late, START, END).scorecard == []
    lines = by_name(live_scorecard(settings, late, START, END, tmp_path).scorecard)
    assert set(lines) == {("missed", "cellar"), ("missed", "all")}
    assert lines["missed", "all"]["value"] == 1.0


def test_it_reads_well(settings: Settings) -> None:
    make_log(settings, 200)
    words = live_scorecard(settings, ROOMS, START, END).words()
    assert words.startswith(
        "rooms as it was decided from 2026-01-05T00:00+00:00 to 2026-01-06T00:00+00:00: 200 decisions"
    )
    error = (logged(settings)["degrees"] - USUAL).abs().mean()
    assert f"{error:.4f}" in words
    assert "disturbed" in words
    assert "attic" not in words


def test_a_time_without_decisions_and_a_domain_that_observes_nothing_are_told_so(settings: Settings) -> None:
    with pytest.raises(DataRefused, match=r"rooms has nothing from 2026-01-05 00:00 .*: check --from and --to\.$"):
        live_scorecard(settings, ROOMS, START, END)
    make_log(settings, 10)
    blind = replace(ROOMS, live=replace(ROOMS.logs, observe=None))
    with pytest.raises(UsageError, match=r"^rooms does not say what its decisions do, so .* watched or scored\.$"):
        live_scorecard(settings, blind, START, END)
