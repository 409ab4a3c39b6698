"""Vectors as files: by day on this machine, and by entity on Spark, the same to the last digit."""

import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from headgate.domains.adclicks.data import raw
from headgate.domains.adclicks.data.schema import CLICKS
from headgate.domains.adclicks.features.addresses import ip_keys
from headgate.domains.adclicks.features.kernel import (
    FEATURES,
    IP_FEATURES,
    USER_FEATURES,
    features,
    in_order_of_arrival,
    ip_part,
    user_part,
)
from headgate.domains.adclicks.features.spark import by_entity, write
from headgate.domains.adclicks.stages import vectors
from headgate.errors import DataRefused, UsageError

from ..features.reference import logs

Change = Callable[[pl.DataFrame], pl.DataFrame] | None


def expected(clicks: pl.DataFrame) -> pl.DataFrame:
    """What is written of `clicks`, from the kernel on the whole log."""
    ordered = in_order_of_arrival(clicks)
    return ordered.select("click_id", "received_at").hstack(pl.DataFrame(features(ordered), schema=list(FEATURES)))


def stored(folder: Path) -> pl.DataFrame:
    """The vectors below `folder`, each file holding its own day and nothing else."""
    files = sorted(folder.iterdir())
    for file in files:
        assert pl.read_parquet(file)["received_at"].dt.date().unique().to_list() == [raw.day_of(file)]
    return pl.concat([pl.read_parquet(file) for file in files])


def batches(clicks: pl.DataFrame, size: int) -> list[pa.RecordBatch]:
    return clicks.to_arrow(compat_level=pl.CompatLevel.oldest()).to_batches(max_chunksize=size)


@examples(max_examples=30)
@given(logs(), st.sampled_from(["user_id", "ip"]), st.integers(1, 9), st.integers(1, 9))
def test_a_partition_cut_anywhere_has_the_features_of_the_whole_log(
    clicks: pl.DataFrame, entity: str, size: int, chunk: int
) -> None:
    """Also in the midst of an entity, as where one is too busy to be held at once."""
    part, names = (user_part, USER_FEATURES) if entity == "user_id" else (ip_part, IP_FEATURES)
    whole = expected(clicks).select("click_id", *names).sort("click_id")
    clicks = in_order_of_arrival(clicks)
    clicks = clicks.with_columns(ip_keys(clicks["ip"]))
    grouped = clicks.sort(entity, "received_at", "click_id")
    found = by_entity(iter(batches(grouped, size)), entity=entity, part=part, names=names, chunk=chunk)
    rows = [pl.from_arrow(batch) for batch in found]
    if rows:
        assert pl.concat(rows).select("click_id", *names).sort("click_id").equals(whole)
    else:
        assert whole.is_empty()


def test_days_have_the_features_of_the_whole_log(small: Path, tmp_path: Path) -> None:
    out = tmp_path / "vectors"
    done = vectors.write(small, out)
    whole = expected(pl.read_parquet(small / "clicks"))
    assert stored(out).equals(whole)
    assert (done.clicks, done.days) == (len(whole), 17)
    assert vectors.write(small, out) == done  # again, with nothing changed


def test_nothing_is_written_where_a_file_is_refused(
    small: Path, doctored: Callable[[Path, dict[str, Change]], Path], tmp_path: Path
) -> None:
    bad = doctored(small, {"clicks/2026-01-10.parquet": lambda clicks: clicks.drop("ip")})
    with pytest.raises(DataRefused, match="lacks the column ip"):
        vectors.write(bad, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_spark_that_is_not_installed_is_said(small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyspark.sql", None)
    with pytest.raises(UsageError, match=r"headgate\[spark\]"):
        vectors.write(small, tmp_path / "out", master="local[1]")
    assert not (tmp_path / "out").exists()


def busy(seed: int = 7) -> pl.DataFrame:
    """Three days with a gateway that half of all share, late clicks, IPv6, and ids that come again, days later too."""
    random, n = np.random.default_rng(seed), 20_000
    arrived = np.sort(random.integers(0, 3 * 86_400_000_000, n))
    late = random.choice([0, 0, 0, 5_000_000, 5_400_000_000, -60_000_000], n)
    others = np.array([f"10.0.0.{n}" for n in range(50)] + [f"2001:db8::{n:x}" for n in range(50)])
    start = datetime(2026, 1, 5, tzinfo=UTC)
    clicks = pl.DataFrame(
        {
            "click_id": [f"c{number}" for number in random.integers(0, n * 3 // 2, n)],
            "event_time": arrived - late,
            "utc_offset_min": random.choice([-480, 0, 60], n),
            "received_at": arrived - arrived % 1_000_000,  # many in one instant
            "user_id": [f"u{number}" for number in random.zipf(1.3, n) % 3000],
            "session_id": [f"s{number}" for number in random.integers(0, 6000, n)],
            "ip": np.where(random.random(n) < 0.5, "192.0.2.1", others[random.integers(0, 100, n)]),
            "device": ["mobile"] * n,
            "logged_in": random.random(n) < 0.4,
            "campaign": [""] * n,
            "rfm": [None] * n,
        }
    )
    instants = (pl.lit(start) + pl.duration(microseconds=name) for name in ("event_time", "received_at"))
    clicks = clicks.with_columns(event_time=next(instants), received_at=next(instants))
    twins = clicks[:500].with_columns(user_id=pl.lit("twin"))  # the same id in the same instant: the first row counts
    return pl.concat([clicks, twins]).cast(CLICKS)


@pytest.fixture(scope="module")
def busy_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("busy")
    raw.write_days(busy(), "clicks", folder)
    return folder


@pytest.fixture
def spark() -> str:
    pytest.importorskip("pyspark", reason="Spark is not installed: pip install 'headgate[spark]'")
    return "local[2]"


@pytest.mark.nightly
def test_spark_gives_the_vectors_of_the_whole_log(busy_log: Path, spark: str, tmp_path: Path) -> None:
    write(busy_log, tmp_path, spark, chunk=500)  # the gateway's clicks are cut many times
    assert stored(tmp_path).equals(expected(pl.read_parquet(busy_log / "clicks")))


@pytest.mark.nightly
def test_both_engines_write_the_same_and_refuse_the_same(
    small: Path, doctored: Callable[[Path, dict[str, Change]], Path], spark: str, tmp_path: Path
) -> None:
    days = {f"clicks/2026-01-{day:02}.parquet": None for day in range(5, 19)}
    few = doctored(small, dict(days))
    here, there = tmp_path / "here", tmp_path / "there"
    assert vectors.write(few, here) == vectors.write(few, there, master=spark)
    assert [file.name for file in sorted(here.iterdir())] == [file.name for file in sorted(there.iterdir())]
    assert stored(there).equals(stored(here))
    first = min((few / "clicks").iterdir()).name
    bad = doctored(few, {f"clicks/{first}": lambda clicks: clicks.with_columns(user_id=pl.lit(None, pl.String))})
    with pytest.raises(DataRefused, match="column user_id is null"):
        vectors.write(bad, tmp_path / "out", master=spark)
    assert not (tmp_path / "out").exists()
