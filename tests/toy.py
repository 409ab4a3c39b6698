"""A whole domain: is a room as warm as it usually is, or too cold, or too hot?

A source holds a file a day, such as `2026-01-05.parquet`, with the columns room, day, degrees, guest and comfortable.
Who wakes the caretaker for a guest who is comfortable has wronged them: that is what the watch looks at. Between two
trainings the caretaker may allow a room some degrees more: that table of tolerances is a companion.
"""

import shutil
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl
from starlette.requests import Request as Asked
from starlette.responses import Response

from headgate.api.endpoints import Endpoint, Operation, json, read
from headgate.api.problems import Problem, not_ready
from headgate.calibration.conformal import quantiles
from headgate.contract.checks import Check
from headgate.contract.companions import NONE, Companion, logged
from headgate.contract.expectations import Expectation, Profile
from headgate.contract.host import Host
from headgate.contract.limits import Comparison, Limits, Metric, Watch
from headgate.contract.live import DecisionLog, Live
from headgate.contract.observations import observations, units_of
from headgate.contract.outcomes import Outcomes
from headgate.contract.results import Decided, Scored
from headgate.contract.row import INSTANT, Row
from headgate.contract.sizes import Sizes
from headgate.data.sources import fetch, list_files
from headgate.domain import Domain, Request
from headgate.errors import DataRefused
from headgate.files import atomic_file, write_json
from headgate.gate.compare import UNITS
from headgate.gate.scorecard import scorecard
from headgate.registry.bundles import CARD, card
from headgate.registry.golden import EXPECTED, GOLDEN
from headgate.settings import Settings


def snapshot(request: Request, out: Path) -> None:
    names = [file.name for file in list_files(request.source) if file.name < f"{request.as_of:%Y-%m-%d}"]
    if len(names) < 21:
        raise DataRefused(f"{request.source} has {len(names)} days before {request.as_of}: bring three weeks.")
    for part, days in {"fit": names[:-14], "calibrate": names[-14:-7], "test": names[-7:]}.items():
        fetch(request.source, days, out / "days" / part)
    if request.base:
        shutil.copytree(request.base, out / "base")


def readings(folder: Path) -> pl.DataFrame:
    """Raw files with the columns that a logged decision has: whatever is observed of one is observed of the other."""
    return pl.read_parquet(folder / "*.parquet").with_columns(slice="room", decided_at=pl.col("day").cast(INSTANT))


def profile(snapshot: Path) -> Profile:
    return {"rooms": pl.read_parquet(snapshot / "days/*/*.parquet").group_by(key="room").agg(pl.max("degrees"))}


def train(work: Path, out: Path) -> None:
    base, rows = work / "snapshot/base", readings(work / "snapshot/days/fit")
    means = card(base)["means"] if base.is_dir() else dict(rows.group_by("room").agg(pl.mean("degrees")).iter_rows())
    write_json(out / CARD, {"domain": "rooms", "means": means, "width": 0.0})


def calibrate(work: Path, out: Path) -> None:
    rows = Rooms(work / "train").decide(readings(work / "snapshot/days/calibrate")).drop_nulls("usual")
    width = quantiles((rows["degrees"] - rows["usual"]).abs().to_numpy(), [0.95])[0]
    write_json(out / "bundle" / CARD, card(work / "train") | {"width": float(width)})


class Rooms:
    def __init__(self, bundle: Path) -> None:
        self.means, self.width = card(bundle)["means"], card(bundle)["width"]

    def decide(self, batch: pl.DataFrame, tolerances: Mapping[str, float] = NONE) -> pl.DataFrame:
        """`usual` and `outcome` of every row; null in a room that no day was seen of."""
        usual = pl.col("room").replace_strict(self.means, default=None, return_dtype=pl.Float64)
        width = self.width + pl.col("room").replace_strict(dict(tolerances), default=0.0, return_dtype=pl.Float64)
        colder = usual - pl.col("degrees")
        outcome = pl.when(colder > width).then(pl.lit("cold")).when(colder < -width).then(pl.lit("hot"))
        return batch.with_columns(usual=usual, outcome=outcome.when(colder.is_not_null()).then(pl.lit("fine")))


def in_force(settings: Settings) -> str | None:
    """Each change is a file of its own, such as `2026-01-05.json`: the last one counts, and all are kept."""
    return max((path.stem for path in (settings.home / "tolerances").glob("*.json")), default=None)


def table(settings: Settings, name: str, at: datetime | None = None) -> dict[str, float]:
    try:
        return msgspec.json.decode((settings.home / f"tolerances/{name}.json").read_bytes(), type=dict[str, float])
    except (OSError, msgspec.DecodeError) as error:
        raise DataRefused(f"The tolerances {name} are not degrees by room ({error}): bring them back.") from None


TOLERANCES = Companion(
    "tolerances", "tolerances", in_force, lambda settings: table(settings, f"{in_force(settings)}"), table
)

OUTCOMES = Outcomes({"fine": "as warm as usual", "cold": "too cold", "hot": "too hot"}, adverse=("cold", "hot"))
METRICS = (
    Metric("error", "Error in °C", direction=-1, unit="room × day", maturity_hours=0),
    Metric("disturbed", "Comfortable guests that are disturbed", -1, unit="guest", maturity_hours=0, share=True),
)
WATCH = Watch("disturbed", units="comfortable guests", wronged=0.05, newly=0.02)  # more, and it is rolled back


def observe(rows: pl.DataFrame, truth: Path | None = None) -> pl.DataFrame:
    """The scorecard, the watch and the loop count by this alone. All is known at once, so no `truth` comes later."""
    off, day = (pl.col("degrees") - pl.col("usual")).abs(), pl.format("{} {}", "room", pl.col("decided_at").dt.date())
    error = observations(rows, "error", unit=day, numerator=off, denominator=off.is_not_null())
    wronged, comfortable = OUTCOMES.is_adverse(), pl.col("comfortable")  # null where the guest has not said
    disturbed = observations(rows, "disturbed", unit=pl.col("guest"), numerator=wronged, denominator=comfortable)
    return pl.concat([error, disturbed])


def evaluate(bundle: Path, work: Path, out: Path) -> None:
    rows = Rooms(bundle).decide(readings(work / "snapshot/days/test"))
    units_of([observe(rows)]).write_parquet(out / UNITS)
    write_json(out / "scorecard.json", scorecard(units_of([observe(rows)]), METRICS, "mean"))
    rows.select("room", "degrees", pl.col("usual", "outcome").name.prefix(EXPECTED)).write_parquet(out / GOLDEN)


def judge(work: Path, champion: Path | None) -> list[Check]:
    width = card(work / "bundle")["width"]
    return [Check("budget", "width", "passed" if width < 3 else "failed", "refuse", f"{width:.1f}", "< 3", "In °C.")]


def decide(bundle: Path, on: Path, out: Path) -> Decided:
    rows = Rooms(bundle).decide(readings(on))
    with atomic_file(out) as draft:
        rows.write_parquet(draft)
    return Decided(len(rows), dict(rows.drop_nulls("outcome")["outcome"].value_counts().iter_rows()))


def score(bundle: Path, on: Path, since: datetime | None) -> Scored:
    rows = Rooms(bundle).decide(readings(on).filter(pl.lit(since).is_null() | (pl.col("decided_at") >= since)))
    return Scored(len(rows), scorecard(units_of([observe(rows)]), METRICS, "mean"))


class Reading(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is posted."""

    room: str
    degrees: float
    guest: str
    comfortable: bool | None = None


class Logged(Row, frozen=True, array_like=True, gc=False):
    """A row of the log: these columns follow those that every domain logs."""

    usual: float
    room: str
    degrees: float
    guest: str
    comfortable: bool | None


POSTED = {"room": pl.String(), "degrees": pl.Float64(), "guest": pl.String(), "comfortable": pl.Boolean()}
# Another version decides `usual` otherwise; no trace tells who the guest was, and after a month nobody knows any more.
LOG = DecisionLog("rooms", {"usual": pl.Float64()} | POSTED, decided=("usual",), hidden=("guest",), days=30)


def redecide(predictor: Rooms, rows: pl.DataFrame, companions: Mapping[str, Any]) -> pl.DataFrame:
    """Another version on logged rows, with the tolerances that they name: all else that it needs is in the log."""
    decided = predictor.decide(rows.drop("outcome", "usual"), companions.get("tolerances", NONE))
    return decided.select("slice", "outcome", "usual")


def routes(host: Host) -> list[Any]:
    decoder = msgspec.json.Decoder(Reading)

    async def decide_reading(request: Asked) -> Response:
        told, champion, at = await read(request, decoder), host.slots.champion("rooms"), datetime.now(UTC)
        if champion is None:
            raise not_ready("No version of rooms is loaded yet: try again.")
        held = host.companions.of("rooms")  # read once, as the champion is: neither changes within a request
        allowed, batch = held["tolerances"].value if held else NONE, pl.DataFrame([msgspec.structs.asdict(told)])
        usual, outcome = champion.predictor.decide(batch, allowed).select("usual", "outcome").row(0)
        if outcome is None:
            raise Problem(422, "invalid", f"No day was seen of room {told.room!r}: name another, or retrain.")
        (name,), when, posted = host.recorder.ids(1, at), int(at.timestamp() * 1e6), msgspec.structs.astuple(told)
        by = champion.version, champion.bundle, logged(held.values())
        row = Logged(name, when, *by, "champion", told.room, outcome, usual, *posted)
        host.recorder.record("rooms", [row])  # before it is answered
        return json({"decision_id": name, "outcome": outcome})

    what = Operation("Is a room as warm as usual?", "Fine, cold or hot.", body=Reading, answer=dict[str, str])
    return [Endpoint("POST", "/v1/rooms/decisions", decide_reading, what)]


def simulate(out: Path, sizes: Sizes, *, seed: int = 0, start: date | None = None, **others: Any) -> None:
    for number in range(sizes.days):
        day, random = (start or date(2026, 1, 5)) + timedelta(number), np.random.default_rng((seed, number))
        rows = pl.DataFrame({"room": [*"abcdefgh"], "day": day, "degrees": 20 + random.normal(size=8)})
        felt = pl.col("degrees") + pl.Series(random.normal(size=8))  # what no thermometer shows
        rows = rows.with_columns(guest=pl.format("{}-{}", "room", "day"), comfortable=felt.is_between(17, 23))
        rows.write_parquet(out / f"{day}.parquet", mkdir=True)


ROOMS = Domain(
    name="rooms",
    title="Warm rooms",
    snapshot=snapshot,
    profile=profile,
    expectations=[Expectation("warmth", "rooms", "degrees", "{key}: {degrees} °C".format_map, "See to it.", high=45)],
    train=train,
    calibrate=calibrate,
    evaluate=evaluate,
    judge=judge,
    plots=lambda work, out: None,
    metrics=METRICS,
    limits=Limits((Comparison("error", margin=0.1, slice_margin=0.5),), latency_ratio=5, watch=WATCH),
    load=Rooms,
    decide=decide,
    score=score,
    routes=routes,
    simulate=simulate,
    scenarios={"calm": "nothing happens"},
    demo=Sizes(days=42),
    small=Sizes(days=42),
    outcomes=OUTCOMES,
    companions=(TOLERANCES,),
    live=Live(log=LOG, observe=observe, redecide=redecide),  # it rebuilds nothing and does not learn from its log
)
