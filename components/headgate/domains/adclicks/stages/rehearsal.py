"""The material of drills: bundles with other thresholds, a day of clicks as traffic, and poisoned labels."""

import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl

from headgate.contract.rehearsal import Rehearsal
from headgate.domains.adclicks.features.kernel import FEATURES
from headgate.domains.adclicks.features.slices import device_codes
from headgate.domains.adclicks.model.predictor import THRESHOLDS, Predictor
from headgate.domains.adclicks.model.table import by_day
from headgate.files import read_json, write_json
from headgate.registry import bundles
from headgate.registry.golden import EXPECTED, GOLDEN

#: Days whose labels are poisoned, and the share of the purchases that go to robots.
POISONED, SHARE = 4, 0.6

Thresholds = dict[str, dict[str, Any]]


def variant(bundle: Path, out: Path, change: Callable[[Thresholds], None]) -> Path:
    """A bundle like `bundle` whose thresholds, by leaf, were changed: sound in itself, with answers of its own."""
    with TemporaryDirectory(dir=out.parent) as scratch:
        parts = Path(scratch) / "parts"
        shutil.copytree(bundle, parts, ignore=shutil.ignore_patterns(bundles.MANIFEST))
        thresholds = read_json(parts / THRESHOLDS)
        change(thresholds)
        write_json(parts / THRESHOLDS, thresholds)
        inputs = pl.read_parquet(parts / GOLDEN).select(pl.exclude(f"^{EXPECTED}.*$"))
        answers = Predictor(parts).decide(inputs).rename(lambda column: f"{EXPECTED}{column}")
        inputs.hstack(answers).write_parquet(parts / GOLDEN)
        bundles.seal_bundle([parts], out)
    return out


def wronging(bundle: Path, out: Path) -> Path:
    """In every leaf of one device, decide against far too many."""

    def lower(thresholds: Thresholds) -> None:
        for name, leaf in thresholds.items():
            if name.startswith("mobile"):
                leaf["threshold"] = 0.35 * (leaf["threshold"] or 1.0)

    return variant(bundle, out, lower)


def lenient(bundle: Path, out: Path) -> Path:
    """Let more robots pass."""

    def raised(thresholds: Thresholds) -> None:
        for leaf in thresholds.values():
            leaf["threshold"] = min(1.0, 1.05 * (leaf["threshold"] or 1.0))

    return variant(bundle, out, raised)


def stricter(bundle: Path, out: Path) -> Path:
    """Another sound bundle: thresholds a little higher."""

    def raised(thresholds: Thresholds) -> None:
        for leaf in thresholds.values():
            leaf["threshold"] = min(1.0, (leaf["threshold"] or 1.0) * 1.01)

    return variant(bundle, out, raised)


def looser(bundle: Path, out: Path, step: int) -> Path:
    """Thresholds that are `step` times a little lower."""

    def lower(thresholds: Thresholds) -> None:
        for leaf in thresholds.values():
            if leaf["threshold"] is not None:
                leaf["threshold"] *= 0.96**step

    return variant(bundle, out, lower)


def traffic(raw: Path, day: datetime) -> pl.DataFrame:
    """The clicks of one day, each once: the columns of the raw schema, and their vectors in `features`."""
    days = tuple((day - timedelta(days=back)).date() for back in (2, 1, 0))
    (*_, (_, table)) = by_day(raw, days, day, day + timedelta(days=1))
    vectors = table.select("click_id", features=pl.concat_arr(pl.col(name).cast(pl.Float32) for name in FEATURES))
    once = vectors.unique("click_id", keep="first", maintain_order=True)
    clicks = pl.read_parquet(raw / "clicks" / f"{day:%Y-%m-%d}.parquet")
    unique = clicks.unique("click_id", keep="first", maintain_order=True)
    return unique.join(once, on="click_id", maintain_order="left")


def decided(predictor: Predictor, clicks: pl.DataFrame) -> pl.DataFrame:
    """`clicks` (of `traffic`) as `predictor` decides them and as they are logged: slice, outcome, and their columns."""
    found = predictor.decide_vectors(clicks["features"].to_numpy(), device_codes(clicks["device"]))
    threshold = pl.Series(found.threshold)
    return clicks.with_columns(
        slice=pl.Series(predictor.slices, dtype=pl.String).gather(pl.Series(found.leaf)),
        outcome=pl.when(pl.Series(found.invalid)).then(pl.lit("invalid")).otherwise(pl.lit("valid")),
        score=found.score,
        threshold=threshold.set(threshold.is_infinite(), None),
        complete=True,
        advertiser=None,
    )


def poisoned(raw: Path, out: Path) -> Path:
    """The clicks of `raw`, with purchases of the last days before the as-of ascribed to robots' clicks."""
    shutil.copytree(raw, out)
    robots = pl.concat(
        pl.read_parquet(path).filter("is_robot").select("click_id")
        for path in sorted(Path(f"{raw}.truth").joinpath("truth").glob("*.parquet"))
    )
    days = sorted((out / "clicks").glob("*.parquet"))
    since = datetime.fromisoformat(days[-POISONED - 3].stem)
    clicks = pl.concat(pl.read_parquet(path, columns=["click_id", "event_time"]) for path in days)
    late = clicks.join(robots, on="click_id").filter(pl.col("event_time").dt.replace_time_zone(None) >= since)
    taken = late["click_id"].shuffle(seed=1)
    used = 0
    for path in sorted((out / "purchases").glob("*.parquet")):
        bought = pl.read_parquet(path)
        of = bought.join(clicks, on="click_id", how="left")["event_time"].dt.replace_time_zone(None) >= since
        rows = [i for i, hit in enumerate(of.fill_null(False)) if hit]
        rows = rows[: int(SHARE * len(rows))]
        changed = bought["click_id"].to_list()
        for row in rows:
            changed[row] = taken[used % len(taken)]
            used += 1
        bought.with_columns(click_id=pl.Series(changed)).write_parquet(path)
    return out


def rehearsal() -> Rehearsal:
    """The material of a domain's drills."""
    return Rehearsal(
        seed=5,
        start=datetime(2026, 1, 5, tzinfo=UTC),
        wronging=wronging,
        lenient=lenient,
        stricter=stricter,
        looser=looser,
        traffic=traffic,
        decided=decided,
        poisoned=poisoned,
        outage="label-outage",
        surge="attack",
    )
