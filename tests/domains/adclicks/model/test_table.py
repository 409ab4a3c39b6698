"""The table: vectors day by day, labels as they are known, and what the heuristic and the clock say of a click."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from headgate.domains.adclicks.data import snapshots
from headgate.domains.adclicks.data.schema import CLICKS
from headgate.domains.adclicks.features.kernel import FEATURES, features, in_order_of_arrival
from headgate.domains.adclicks.features.slices import LEAVES
from headgate.domains.adclicks.model import table
from headgate.domains.adclicks.model.table import HEAVY_SESSION, by_day, label, table_of

NOON = datetime(2026, 1, 7, 12, tzinfo=UTC)


def clicks(*rows: dict[str, Any]) -> pl.DataFrame:
    """Clicks that differ in what is told of them; each arrives as it happens."""
    common = {"utc_offset_min": 0, "user_id": "u", "session_id": "s", "ip": "192.0.2.1", "device": "mobile"}
    common |= {"logged_in": False, "campaign": "c", "rfm": None, "event_time": NOON}
    full = [common | {"click_id": f"{n:05d}", "received_at": row.get("event_time", NOON)} | row
            for n, row in enumerate(rows)]  # fmt: skip
    return pl.DataFrame(full, schema=CLICKS)


def sessions(*spans: tuple[str, int, float]) -> pl.DataFrame:
    """For each session, so many clicks so many seconds apart; the click ids tell the session."""
    rows = [
        {"click_id": f"{name} {n:03d}", "session_id": name, "event_time": NOON + timedelta(seconds=n * seconds)}
        for name, many, seconds in spans
        for n in range(many)
    ]
    return clicks(*rows)


# -- vectors -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def log(small: Path) -> pl.DataFrame:
    """All clicks of the small source in order of arrival."""
    return in_order_of_arrival(pl.read_parquet(small / "clicks"))


def test_day_by_day_gives_the_vectors_of_the_whole_log(small: Path, log: pl.DataFrame) -> None:
    days = tuple(sorted(snapshots.raw.day_of(path) for path in (small / "clicks").iterdir()))
    start, end = log["received_at"][0], log["received_at"][-1]
    daily = pl.concat([rows for _, rows in by_day(small, days, start, end + timedelta(seconds=1))])
    assert daily["click_id"].equals(log["click_id"])
    assert np.array_equal(daily.select(FEATURES).to_numpy(), features(log))


def test_what_the_stage_wrote_is_what_arrived_with_its_vectors(work: Path, log: pl.DataFrame) -> None:
    written = pl.read_parquet(work / "train" / "table")
    whole = pl.DataFrame(features(log), schema=list(FEATURES)).with_columns(log["click_id"])
    joined = written.join(whole, on="click_id", suffix="_whole", validate="1:1")
    assert len(joined) == len(written) > 10_000
    for name in FEATURES:
        assert joined[name].equals(joined[f"{name}_whole"].alias(name)), name


def test_every_click_of_the_table_has_a_role_and_none_is_younger_than_a_day(work: Path, as_of: datetime) -> None:
    written = pl.read_parquet(work / "train" / "table")
    assert set(written["role"]) == {"fit", "stop", "tune", "certify", "test"}
    assert written["received_at"].max() < as_of - timedelta(hours=24)  # type: ignore[operator]


def test_only_the_asked_span_comes_back_and_older_clicks_are_history(written: Callable[..., Path]) -> None:
    midnight = datetime(2026, 1, 8, tzinfo=UTC)
    times = [midnight - timedelta(minutes=30), midnight + timedelta(minutes=5), midnight + timedelta(hours=2)]
    source = written(clicks=[{"event_time": time} for time in times])
    days = (midnight.date() - timedelta(days=1), midnight.date())
    ((day, rows),) = by_day(source, days, midnight, midnight + timedelta(hours=1))
    assert day == midnight.date()
    assert len(rows) == 1
    assert rows["user_clicks_1h"].to_list() == [1.0]


# -- labels ------------------------------------------------------------------------------------------------------------


def test_labels_are_the_purchases_that_are_known_and_accounts_of_high_rfm() -> None:
    frame = table_of(clicks({"rfm": None}, {"rfm": 13}, {"rfm": 14}, {"rfm": 15}, {"rfm": None}))
    rows = label(frame, pl.DataFrame({"click_id": ["00000", "00003", "elsewhere"]}))
    assert rows.bought.tolist() == [True, False, False, True, False]
    assert rows.human.tolist() == [True, False, True, True, False]


def test_the_stage_labels_by_what_its_snapshot_knows(work: Path, small: Path, as_of: datetime) -> None:
    rows = table.rows(work, "fit", "stop", "tune", "certify", "test")
    refunds = pl.read_parquet(small / "refunds").filter(pl.col("known_at") <= as_of)
    purchases = pl.read_parquet(small / "purchases").filter(pl.col("known_at") <= as_of)
    kept = purchases.join(refunds, on="purchase_id", how="anti")
    assert len(kept) < len(purchases) < len(pl.read_parquet(small / "purchases"))
    assert set(rows.click_id.filter(pl.Series(rows.bought))) == set(kept["click_id"]) & set(rows.click_id)
    assert rows.bought.sum() > 100


def test_roles_are_read_alone(work: Path) -> None:
    fit, judging = table.rows(work, "fit"), table.rows(work, "certify", "test")
    assert len(fit)
    assert len(judging)
    assert not set(fit.user.tolist()) & set(judging.user.tolist())


def test_rows_are_chosen_together(work: Path) -> None:
    rows = table.rows(work, "test")
    humans = rows[rows.human]
    assert len(humans) == rows.human.sum()
    assert humans.human.all()
    assert humans.click_id.to_list() == rows.click_id.filter(pl.Series(rows.human)).to_list()


# -- the heuristic, the clock, the slice -------------------------------------------------------------------------------


def heavy(frame: pl.DataFrame) -> dict[str, set[bool]]:
    """Whether the clicks of each session are heavy."""
    found: dict[str, set[bool]] = {}
    for click, is_heavy in table_of(frame).select("click_id", "heavy").rows():
        found.setdefault(click.split()[0], set()).add(is_heavy)
    return found


def test_a_session_is_heavy_as_a_whole_above_so_many_clicks_within_an_hour() -> None:
    found = heavy(sessions(("many", HEAVY_SESSION + 1, 60), ("enough", HEAVY_SESSION, 60), ("one", 1, 0)))
    assert found == {"many": {True}, "enough": {False}, "one": {False}}


def test_a_session_whose_clicks_are_spread_over_hours_is_not_heavy() -> None:
    assert heavy(sessions(("slow", 3 * HEAVY_SESSION, 200))) == {"slow": {False}}


def test_a_burst_makes_its_whole_session_heavy() -> None:
    burst = sessions(("burst", HEAVY_SESSION + 1, 1))
    alone = sessions(("burst", 1, 0)).with_columns(
        pl.lit("burst early").alias("click_id"), pl.col("event_time", "received_at") - timedelta(hours=3)
    )
    assert heavy(pl.concat([alone, burst])) == {"burst": {True}}


def test_a_cell_is_an_hour_of_the_week_on_the_clickers_clock() -> None:
    hours = [{"event_time": NOON + timedelta(hours=n)} for n in range(168)]
    cells = table_of(clicks(*hours))["cell"]
    assert sorted(cells) == list(range(168))

    def cell(time: datetime, offset: int) -> int:
        return int(table_of(clicks({"event_time": time, "utc_offset_min": offset}))["cell"][0])

    assert cell(NOON, 0) == cell(NOON + timedelta(weeks=3, minutes=59), 0)
    assert cell(NOON, 330) == cell(NOON + timedelta(minutes=330), 0) != cell(NOON, 0)
    assert cell(NOON, -720) == cell(NOON - timedelta(hours=12), 0)


def test_device_and_leaf_are_those_of_the_slices() -> None:
    frame = table_of(clicks({"device": "tablet", "logged_in": True}, {"device": "fridge", "user_id": "v"}))
    rows = label(frame, pl.DataFrame({"click_id": pl.Series([], dtype=pl.String)}))
    assert [LEAVES[n] for n in rows.leaf] == ["tablet/in/direct", "other/out/direct"]


def test_no_clicks_are_an_empty_table() -> None:
    assert table_of(clicks()).shape == (0, 8 + len(FEATURES))
