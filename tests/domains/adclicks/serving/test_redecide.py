"""Logged clicks decided again: on the vectors as they were served, and on vectors rebuilt in event time."""

import asyncio
from datetime import timedelta
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from headgate.decisions.reading import effective, parts
from headgate.domains.adclicks.domain import ADCLICKS
from headgate.domains.adclicks.features.click import Click
from headgate.domains.adclicks.features.kernel import FEATURES
from headgate.domains.adclicks.features.memory_counters import MemoryCounters
from headgate.domains.adclicks.features.windows import HISTORY
from headgate.domains.adclicks.serving.log_rows import LOG
from headgate.domains.adclicks.serving.redecide import recompute, redecide
from headgate.settings import Settings

from ....decisions.made import write_part
from ....decisions.replaying import Loaded, again, load, passed
from ..logged import START, make_rows
from ..tiny import make_bundle

CLICKS_A_MINUTE = FEATURES.index("user_clicks_1m")

#: The version is against a click whose user clicked at least so often within the minute before.
AT_LEAST = 3


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    return load(ADCLICKS, make_bundle(tmp_path_factory.mktemp("bundles"), "v2", 3.0 - AT_LEAST), 2)


@pytest.fixture
def home(tmp_path: Path, loaded: Loaded) -> Settings:
    """A state folder whose ledger lets the version serve."""
    return passed(tmp_path / "state", {2: loaded})


def holds(here: Settings) -> dict[str, str]:
    """The effective decision of everything in the log."""
    told = pl.concat([effective(here, LOG, rows, part) for part, rows in parts(here, LOG)])
    return dict(told.select("decision_id", "outcome").iter_rows())


def decides(rows: pl.DataFrame) -> dict[str, str]:
    """What the version decides on the vectors of `rows`."""
    clicks = rows["features"].to_numpy()[:, CLICKS_A_MINUTE]
    return dict(zip(rows["decision_id"], np.where(clicks >= AT_LEAST, "invalid", "valid").tolist(), strict=True))


def clicks(n: int, seed: int = 3) -> pl.DataFrame:
    """Rows of `n` clicks over 40 hours by few users and IPs, in bursts; some are told late, some twice."""
    random = np.random.default_rng(seed)
    at = random.integers(0, 80, n) * 1_800_000_000 + random.integers(0, 60_000_000, n)
    received = START + pl.Series(np.sort(at)).cast(pl.Duration("us"))
    late = pl.Series(np.where(random.random(n) < 0.1, random.integers(0, 7_200_000_000, n), 0)).cast(pl.Duration("us"))
    rows = make_rows(n, seed=seed).with_columns(
        received_at=received,
        decided_at=received + pl.duration(milliseconds=3),
        event_time=received - late,
        user_id=pl.Series([f"u{number}" for number in random.integers(0, 15, n)]),
        ip=pl.Series([f"2001:db8:0:{number}::{n % 7}" for n, number in enumerate(random.integers(0, 9, n))]),
        utc_offset_min=pl.lit(60, pl.Int16),
    )
    twice = rows.sample(n // 20, seed=seed).with_columns(
        pl.col("decision_id") + "-again",
        pl.col("decided_at", "received_at") + pl.duration(minutes=random.integers(1, 600)),
    )
    return pl.concat([rows, twice]).sort("received_at", "click_id")


def served(rows: pl.DataFrame) -> pl.Series:
    """The vectors that the online counters give `rows`, which stand in order of arrival."""
    counters = MemoryCounters()
    names = [name for name in Click.__struct_fields__ if name in rows.columns]
    found = asyncio.run(counters.observe([Click(**row) for row in rows.select(names).iter_rows(named=True)]))
    return pl.Series("features", found.vectors, dtype=pl.Array(pl.Float32, len(FEATURES)))


def test_a_click_is_decided_on_its_vector_and_without_one_not_at_all(loaded: Loaded) -> None:
    seen = pl.int_range(pl.len()) % 5 != 2
    rows = make_rows(50).with_columns(features=pl.when(seen).then("features"))
    decided = redecide(loaded.predictor, rows)  # type: ignore[arg-type]
    answered = decided["outcome"].is_not_null()
    assert answered.equals(rows["features"].is_not_null(), check_names=False)
    known = rows.filter(answered)
    assert dict(zip(known["decision_id"], decided["outcome"].drop_nulls(), strict=True)) == decides(known)
    assert decided["slice"].drop_nulls().equals(known["device"], check_names=False)
    for column in LOG.decided:
        assert decided[column].is_not_null().equals(answered, check_names=False)


def test_rebuilt_vectors_are_those_that_were_served_whatever_the_log_says(home: Settings, loaded: Loaded) -> None:
    """The counters served from the first click on; the log's vectors are wrong, and its parts are of two workers."""
    rows = clicks(1500)
    right = rows.with_columns(served(rows))
    wrong = right.with_columns(features=right["features"].reverse(), outcome=pl.lit("valid"))
    worker = pl.int_range(pl.len()) % 2
    for number in (0, 1):
        for hour in range(0, 44, 4):
            at = pl.col("decided_at")
            inside = (at >= START + timedelta(hours=hour)) & (at < START + timedelta(hours=hour + 4))
            mine = wrong.filter(inside & (worker == number))
            if len(mine):
                write_part(home, mine, LOG, worker=f"worker-{number}-0000000000")
    since, until = START + timedelta(microseconds=HISTORY, hours=1), START + timedelta(hours=39)
    inside = right.filter(pl.col("decided_at").is_between(since, until, closed="left"))
    rebuilt = pl.concat(rows for _, rows in recompute(partial(parts, home, LOG), since, until))
    told = ("decision_id", "features")
    assert rebuilt.select(told).sort("decision_id").equals(inside.select(told).sort("decision_id"))
    done = again(home, loaded, since, until, mode="recompute")
    assert (done.decisions, done.undecided) == (len(inside), 0)
    everything = dict.fromkeys(right["decision_id"], "valid")
    assert 0 < list(decides(inside).values()).count("invalid") < len(inside)
    assert holds(home) == everything | decides(inside)
    assert again(home, loaded, since, until, mode="recompute").newly_adverse == 0


def test_clicks_that_were_posted_a_day_late_count_where_they_were_received(home: Settings, loaded: Loaded) -> None:
    rows = clicks(600).unique("click_id", keep="first", maintain_order=True)
    right = rows.with_columns(served(rows))
    posted = START + timedelta(days=4)
    late = right.with_columns(
        decided_at=pl.lit(posted) + pl.duration(milliseconds=pl.int_range(pl.len())),
        features=pl.lit(None, right.schema["features"]),
        role=pl.lit("default"),
        outcome=pl.lit("valid"),
    )
    write_part(home, late, LOG)
    again(home, loaded, posted, posted + timedelta(hours=1), mode="recompute", pending=True)
    assert holds(home) == decides(right)
    assert "invalid" in holds(home).values()
