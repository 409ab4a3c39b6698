"""What logged clicks tell of those who are known to be good, and how soon the watch sees harm to them."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from headgate.contract.observations import OBSERVATION
from headgate.decisions import tally
from headgate.decisions.tally import EVERYTHING
from headgate.domains.adclicks.features.kernel import FEATURES, features, in_order_of_arrival
from headgate.domains.adclicks.limits import LIMITS, METRICS, WRONGED
from headgate.domains.adclicks.serving.log_rows import KNOWN_GOOD_RFM, observe
from headgate.domains.adclicks.simulated.simulator import simulate, truth_folder
from headgate.domains.adclicks.simulated.sizes import ClickSizes

from ..logged import make_rows


def test_an_account_of_a_high_score_is_known_to_be_good_and_of_others_nothing_is_known() -> None:
    rows = make_rows(300)
    found = observe(rows)
    assert found.schema == pl.Schema(OBSERVATION)
    wronged = found.filter(metric=WRONGED).sort("row")
    assert wronged["unit"].equals(rows["user_id"], check_names=False)
    good = rows.select(pl.col("rfm") >= KNOWN_GOOD_RFM).to_series().cast(pl.Float64)
    assert 0 < good.sum() < good.count() < 300
    assert wronged["denominator"].equals(good, check_names=False, null_equal=True)
    assert wronged["numerator"].sum() == (rows["outcome"] == "invalid").sum()


def test_with_the_purchases_that_came_the_false_positive_rate_is_observed(tmp_path: Path) -> None:
    """A purchase that was refunded makes nobody good."""
    rows, day = make_rows(100, invalid=0.5), pl.lit(datetime(2026, 1, 6, tzinfo=UTC), pl.Datetime("us", "UTC"))
    bought = rows[:40].select("click_id", purchase_id="decision_id", purchased_at=day, known_at=day, amount=pl.lit(9.0))
    back = bought[30:].select("purchase_id", "known_at", "amount", refund_id="purchase_id")
    for table, told in (("purchases", bought), ("refunds", back)):
        told.write_parquet(tmp_path / table / "2026-01-06.parquet", mkdir=True)
    assert "fpr" not in observe(rows)["metric"].unique()
    fpr = observe(rows, tmp_path).filter(metric="fpr")
    assert fpr["denominator"].sum() == 30
    assert fpr["numerator"].sum() == (rows["outcome"][:30] == "invalid").sum() > 0
    assert {one.name for one in METRICS} >= {"fpr", "ivr"}


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> pl.DataFrame:
    """The second of three simulated days, on which robots click four times as much, in order of arrival.

    A rule decides, that a busy user is a robot; `human` is the hidden truth.
    """
    out = tmp_path_factory.mktemp("attack") / "raw"
    simulate(out, ClickSizes(days=3, clicks_per_day=12_000), scenario="attack", seed=11)
    raw, truth = (pl.read_parquet(folder / "*.parquet") for folder in (out / "clicks", truth_folder(out) / "truth"))
    ordered = in_order_of_arrival(raw.join(truth, on="click_id"))
    busy = features(ordered)[:, FEATURES.index("user_clicks_1h")]
    decided = ordered.with_columns(
        human=~pl.col("is_robot"),
        busy=pl.Series(busy >= 25),
        slice=pl.concat_str("device", pl.when("logged_in").then(pl.lit("/in")).otherwise(pl.lit("/out"))),
    )
    return decided.filter(pl.col("received_at").dt.date() == pl.lit("2026-01-06").cast(pl.Date))


def told(day: pl.DataFrame, invalid: pl.Expr) -> list[tally.Finding]:
    """What the tests say of `day`, where the version before decided by the rule."""
    assert LIMITS.watch is not None
    outcome = pl.when(invalid).then(pl.lit("invalid")).otherwise(pl.lit("valid"))
    seen = observe(day.with_columns(outcome=outcome)).filter(metric=WRONGED).sort("row")
    seen = seen.with_columns(adverse=pl.col("numerator") > 0, before=day["busy"]).filter(pl.col("denominator") > 0)
    whole = tally.add(tally.empty(), seen.select("slice", "unit", "adverse", "before"), LIMITS.watch.after)
    return tally.findings(whole, LIMITS.watch)


def test_a_simulated_attack_under_a_good_rule_shows_no_harm(attacked: pl.DataFrame) -> None:
    assert attacked["busy"].mean() > 0.1, "much is invalid"  # type: ignore[operator]
    assert not [one for one in told(attacked, pl.col("busy")) if one.harm]


def test_a_tenth_of_the_people_of_a_simulated_slice_is_seen_within_2000_of_its_clicks(attacked: pl.DataFrame) -> None:
    inside = pl.col("slice") == "mobile/in"
    first = attacked.filter(inside.cum_sum() <= 2_000)
    random = pl.Series(np.random.default_rng(12).random(len(first)) < 0.1)
    found = told(first, pl.col("busy") | (inside & pl.col("human") & random))
    assert "mobile/in" in [one.slice for one in found if one.harm and one.curable]
    assert not [one.slice for one in found if one.harm and one.slice not in ("mobile/in", EVERYTHING)]
