"""A whole domain: how warm will each room be tomorrow? As warm as on average, give or take an interval.

A source holds a file a day, such as `2026-01-05.parquet`, with the columns room, day and degrees.
"""

import shutil
from dataclasses import asdict
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import polars as pl

from headgate.calibration.conformal import quantiles
from headgate.contract.checks import Check
from headgate.contract.expectations import Expectation, Profile
from headgate.data.sources import fetch, list_files
from headgate.domain import Comparison, Domain, Limits, Metric, Request
from headgate.errors import DataRefused, UsageError
from headgate.files import atomic_file, write_json
from headgate.gate.compare import UNITS
from headgate.gate.ratios import ratio
from headgate.registry.bundles import CARD, card
from headgate.registry.golden import EXPECTED, GOLDEN


def snapshot(request: Request, out: Path) -> None:
    names = [file.name for file in list_files(request.source) if file.name < f"{request.as_of:%Y-%m-%d}"]
    if len(names) < 21:
        raise DataRefused(f"{request.source} has {len(names)} days before {request.as_of}: bring three weeks.")
    for part, days in {"fit": names[:-14], "calibrate": names[-14:-7], "test": names[-7:]}.items():
        fetch(request.source, days, out / "days" / part)
    if request.base:
        shutil.copytree(request.base, out / "base")


def profile(snapshot: Path) -> Profile:
    return {"rooms": pl.read_parquet(snapshot / "days/*/*.parquet").group_by(key="room").agg(pl.max("degrees"))}


def train(work: Path, out: Path) -> None:
    base, rows = work / "snapshot/base", pl.read_parquet(work / "snapshot/days/fit/*.parquet")
    means = card(base)["means"] if base.is_dir() else dict(rows.group_by("room").agg(pl.mean("degrees")).iter_rows())
    write_json(out / CARD, {"domain": "rooms", "means": means, "width": 0.0})


def calibrate(work: Path, out: Path) -> None:
    rows = Rooms(work / "train").decide(pl.read_parquet(work / "snapshot/days/calibrate/*.parquet")).drop_nulls()
    width = quantiles((rows["degrees"] - rows["said"]).abs().to_numpy(), [0.9])[0]
    write_json(out / "bundle" / CARD, card(work / "train") | {"width": float(width)})


class Rooms:
    def __init__(self, bundle: Path) -> None:
        self.means, self.width = card(bundle)["means"], card(bundle)["width"]

    def decide(self, batch: pl.DataFrame) -> pl.DataFrame:
        said = pl.col("room").replace_strict(self.means, default=None, return_dtype=pl.Float64)
        return batch.with_columns(said=said, low=said - self.width, high=said + self.width)


def units(rows: pl.DataFrame) -> pl.DataFrame:
    error, unit = (pl.col("degrees") - pl.col("said")).abs(), pl.format("{} {}", "room", "day")
    each = rows.select(metric=pl.lit("error"), unit=unit, numerator=error, denominator=1.0, room="room").drop_nulls()
    return pl.concat([each.with_columns(slice=part).drop("room") for part in (pl.lit("all"), pl.col("room"))])


def scorecard(units: pl.DataFrame) -> list[dict[str, Any]]:
    groups = units.group_by("slice", maintain_order=True)
    sums = {name: group.select("numerator", "denominator").to_numpy().T for (name,), group in groups}
    return [{"model": "mean", "metric": "error", "slice": s} | asdict(ratio(*sums[s], share=False)) for s in sums]


def evaluate(bundle: Path, work: Path, out: Path) -> None:
    rows = Rooms(bundle).decide(pl.read_parquet(work / "snapshot/days/test/*.parquet"))
    units(rows).write_parquet(out / UNITS)
    write_json(out / "scorecard.json", scorecard(units(rows)))
    rows.select("room", pl.col("said", "low", "high").name.prefix(EXPECTED)).write_parquet(out / GOLDEN)


def judge(work: Path, champion: Path | None) -> list[Check]:
    width = card(work / "bundle")["width"]
    return [Check("budget", "width", "passed" if width < 3 else "failed", "refuse", f"{width:.1f}", "< 3", "In °C.")]


def decide(bundle: Path, on: Path, out: Path) -> tuple[int, int]:
    rows = Rooms(bundle).decide(pl.read_parquet(on / "*.parquet"))
    with atomic_file(out) as draft:
        rows.write_parquet(draft)
    return len(rows), len(rows.filter(~pl.col("degrees").is_between("low", "high")))


def score(bundle: Path, on: Path, since: datetime | None) -> tuple[int, list[dict[str, Any]], dict[str, Any]]:
    rows = pl.read_parquet(on / "*.parquet").filter(pl.col("day") >= (since or datetime.min).date())
    return len(rows), scorecard(units(Rooms(bundle).decide(rows))), {}


def simulate(out: Path, *, days: int, scenario: str, seed: int, start: date | None, **others: Any) -> None:
    for number in range(days):
        day, random = (start or date(2026, 1, 5)) + timedelta(number), np.random.default_rng((seed, number))
        rows = pl.DataFrame({"room": [*"abcdefgh"], "day": day, "degrees": 20 + random.normal(size=8)})
        rows.write_parquet(out / f"{day}.parquet", mkdir=True)


def bring_in(source: str, out: Path, **asked: Any) -> NoReturn:
    raise UsageError(f"rooms has no other format than its own: copy {source} to {out}.")


ROOMS = Domain(
    name="rooms",
    title="Tomorrow's warmth",
    snapshot=snapshot,
    profile=profile,
    expectations=[Expectation("warmth", "rooms", "degrees", "{key}: {degrees} °C".format_map, "See to it.", high=45)],
    train=train,
    calibrate=calibrate,
    evaluate=evaluate,
    judge=judge,
    plots=lambda work, out: None,
    metrics=(Metric("error", "Error in °C", direction=-1, unit="room × day", maturity_hours=24),),
    limits=Limits((Comparison("error", margin=0.1, slice_margin=0.5),), latency_ratio=5),
    load=Rooms,
    decide=decide,
    noticed="outside their interval",
    score=score,
    routes=lambda host: [],
    simulate=simulate,
    scenarios={"calm": "nothing happens"},
    demo={"days": 42},
    bring_in=bring_in,
)
