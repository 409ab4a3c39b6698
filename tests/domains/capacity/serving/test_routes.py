"""`GET /v1/capacity/…` and `POST /v1/capacity/track`: answers, and refusals that name what is wrong."""

import csv
import io
import shutil
import warnings
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import polars as pl
import pytest
from starlette.applications import Starlette

from headgate import settings
from headgate.api.problems import Problem, on_problem
from headgate.contract.host import Host
from headgate.contract.row import Recorder
from headgate.contract.slots import Loaded, Slots
from headgate.decisions.reading import schema
from headgate.decisions.redeciding import Redecider
from headgate.domains.capacity.companions.calendar import as_of, read_calendar
from headgate.domains.capacity.companions.edit import Signature, change
from headgate.domains.capacity.companions.followed import COMPANIONS
from headgate.domains.capacity.domain import CAPACITY
from headgate.domains.capacity.model.forecaster import Forecaster
from headgate.domains.capacity.serving.log_rows import LOG
from headgate.domains.capacity.serving.routes import routes
from headgate.serving.companions import CompanionFollower

from ....hosts import NoLog, host

HOME = "eu-central/home/requests"
DAY = {"series": HOME, "from": "2026-02-21", "to": "2026-02-22"}
SALE = "flash-2026-02-2"


@pytest.fixture
def slots(forecaster: Forecaster) -> Slots:
    slots = Slots()
    slots.set_champion(Loaded("capacity", 7, "b", forecaster, datetime(2026, 2, 16, tzinfo=UTC)))
    return slots


class Noted(NoLog):
    """A recorder that keeps what it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[Any] = []

    def record(self, domain: str, rows: Any) -> None:
        assert domain == "capacity"
        self.rows += rows


def client_of(slots: Slots, recorder: Recorder | None = None) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Starlette would like another client than the one that is installed
        from starlette.testclient import TestClient
    return TestClient(Starlette(routes=routes(host(slots, recorder)), exception_handlers={Problem: on_problem}))


@pytest.fixture
def get(slots: Slots) -> Any:
    client = client_of(slots)
    return lambda name, **asked: client.get(f"/v1/capacity/{name}", params=asked)


@pytest.fixture
def post(slots: Slots) -> Any:
    client = client_of(slots)
    return lambda body: client.post("/v1/capacity/track", content=msgspec.json.encode(body))


def test_a_forecast_has_a_value_a_step_for_each_quantile(get: Any, forecaster: Forecaster) -> None:
    answer = get("forecast", **DAY).json()
    assert (answer["series"], answer["version"], answer["step_seconds"]) == (HOME, 7, 3600)
    assert answer["calendar"] == forecaster.companion()
    assert answer["time_utc"][0] == "2026-02-21T00:00:00Z"
    assert list(answer["quantiles"]) == ["0.05", "0.1", "0.5", "0.9", "0.95"]
    assert {len(values) for values in answer["quantiles"].values()} == {24}
    assert answer["certified"] is True
    assert answer["peak"] is None


def test_step_quantiles_and_peak_are_as_asked(get: Any) -> None:
    answer = get("forecast", **DAY, step="15min", quantiles="0.5,0.99", peak="true").json()
    assert list(answer["quantiles"]) == ["0.5", "0.99"]
    assert len(answer["time_utc"]) == 96
    assert answer["peak"]["0.95"] >= answer["peak"]["0.5"] > max(answer["quantiles"]["0.5"])


def test_a_total_is_asked_with_a_star(get: Any) -> None:
    total = get("forecast", **DAY | {"series": "eu-central/*/requests"}).json()["quantiles"]["0.5"]
    assert all(
        whole > part for whole, part in zip(total, get("forecast", **DAY).json()["quantiles"]["0.5"], strict=True)
    )


def test_offsets_are_instants(get: Any) -> None:
    utc = get("forecast", series=HOME, **{"from": "2026-02-21T00:00:00Z", "to": "2026-02-21T02:00:00Z"}).json()
    berlin = get("forecast", series=HOME, **{"from": "2026-02-21T01:00:00+01:00", "to": "2026-02-21T03:00+01:00"})
    assert berlin.json() == utc


def test_csv_holds_the_same_numbers(get: Any) -> None:
    answer, told = get("forecast", **DAY).json(), get("forecast", **DAY, format="csv")
    assert told.headers["content-type"].startswith("text/csv")
    header, *rows = csv.reader(io.StringIO(told.text))
    assert header == ["time_utc", "0.05", "0.1", "0.5", "0.9", "0.95"]
    assert [row[0] for row in rows] == answer["time_utc"]
    assert [float(row[3]) for row in rows] == answer["quantiles"]["0.5"]


def test_an_explanation_is_a_product(get: Any) -> None:
    answer = get("explain", series=HOME, **{"from": "2026-02-21T18:00Z", "to": "2026-02-21T18:15Z"}).json()
    whole = 1.0
    for factor in answer["factors"].values():
        whole *= factor
    assert whole == pytest.approx(answer["forecast"])
    assert answer["events"] == ["Flash sale (sale), 2026-02-21 to 2026-02-22"]
    assert "baseline" in answer["words"]


def test_what_if_the_sale_moved_and_ran_two_days(get: Any, forecaster: Forecaster) -> None:
    window = {"series": HOME, "from": "2026-02-20", "to": "2026-02-26", "step": "1d", "event": SALE}
    answer = get("whatif", **window, event_start="2026-02-23", event_end="2026-02-25").json()
    change = [after / before for before, after in zip(answer["before"], answer["after"], strict=True)]
    assert change[1] < 0.95
    assert min(change[3:5]) > 1.05
    assert answer["calendar"] != forecaster.companion()
    same = get("whatif", **window).json()
    assert same["before"] == same["after"]


@pytest.mark.parametrize("start", ["2026-02-21T00:00:00Z", "2026-02-20T23:50:00Z"])
def test_what_came_rescales_the_rest(get: Any, post: Any, start: str) -> None:
    """Values stand for the window's steps from its first on, also where `from` lies between two steps."""
    window = {"series": HOME, "from": start, "to": "2026-02-22T00:00:00Z"}
    said = get("forecast", **window, step="15min").json()["quantiles"]["0.5"]
    came = [2 * value for value in said[:40]]
    answer = post(window | {"step": "15min", "values": [*came[:20], None, *came[21:]]}).json()
    assert (answer["seen"], answer["version"]) == (39, 7)
    assert answer["ratio"] == pytest.approx(2, rel=0.05)
    assert answer["expected"][50] == pytest.approx(2 * answer["forecast"][50], rel=0.05)
    assert answer["low"][50] < answer["expected"][50] < answer["high"][50]


def test_weeks_can_be_followed_too(get: Any, post: Any) -> None:
    window = {"series": HOME, "from": "2026-02-16", "to": "2026-03-09", "step": "1w"}
    answer = post(window | {"values": [1000]})
    assert answer.status_code == 200, answer.text
    assert answer.json()["seen"] == 1


GET_ERRORS = [
    ("forecast", {"from": "2026-02-21", "to": "2026-02-22"}, "series"),
    ("forecast", DAY | {"from": "yesterday"}, "`from` is 'yesterday'"),
    ("forecast", DAY | {"to": "9999-12-31T23:00:00-05:00"}, "`to` is '9999-12-31T23:00:00-05:00'"),
    ("forecast", DAY | {"quantiles": "0.5,0.999"}, "no quantile 0.999 is known"),
    ("forecast", DAY | {"to": "2026-02-30"}, "`to` is '2026-02-30'"),
    ("forecast", DAY | {"step": "7min"}, "#/step"),
    ("forecast", DAY | {"step": "1min"}, "must be a multiple"),
    ("forecast", DAY | {"quantiles": "0.5,1.5"}, "`quantiles` is '0.5,1.5'"),
    ("forecast", DAY | {"quantiles": ""}, "`quantiles` is ''"),
    ("forecast", DAY | {"format": "xml"}, "#/format"),
    ("forecast", DAY | {"peak": "perhaps"}, "#/peak"),
    ("forecast", DAY | {"colour": "red"}, "#/colour"),
    ("forecast", DAY | {"series": "eu-central/cart/requests"}, "no series eu-central/cart/requests"),
    ("forecast", DAY | {"to": "2026-02-21"}, "no step of 1h"),
    ("forecast", DAY | {"to": "2026-02-20"}, "no step of 1h"),
    ("forecast", DAY | {"to": "2030-02-21"}, "ask within it"),
    ("forecast", DAY | {"to": "2199-01-01"}, "ask for less"),
    ("explain", DAY | {"series": "eu-central/*/requests"}, "explain one of its parts"),
    ("explain", DAY | {"event": SALE}, "#/event"),
    ("whatif", DAY, "event"),
    ("whatif", DAY | {"event": "sommer"}, "plans no event 'sommer'"),
    ("whatif", DAY | {"event": SALE, "intensity": "0"}, "#/intensity"),
    ("whatif", DAY | {"event": SALE, "event_start": "soon"}, "event's start"),
    ("whatif", DAY | {"event": SALE, "event_end": "2026-02-01"}, "event's end"),
]


@pytest.mark.parametrize(("name", "asked", "says"), GET_ERRORS)
def test_a_refusal_names_what_is_wrong(get: Any, name: str, asked: dict[str, str], says: str) -> None:
    answer = get(name, **asked)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert says in answer.text.replace('\\"', '"')


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"values": [-1.0]}, "#/values/0"),
        ({"values": [None]}, "has come yet"),
        ({"values": []}, "has come yet"),
        ({"values": [1.0] * 97}, "`values` has 97 entries for the 96 steps"),
        ({"values": ["many"]}, "#/values/0"),
        ({"from": "noon"}, "`from` is 'noon'"),
        ({"colour": "red"}, "#/colour"),
    ],
)
def test_a_body_that_does_not_fit_names_the_field(post: Any, change: dict[str, Any], says: str) -> None:
    answer = post(DAY | {"step": "15min", "values": [1.0]} | change)
    assert answer.status_code == 422
    assert says in answer.text


def test_a_body_that_is_no_json_is_malformed(slots: Slots) -> None:
    assert client_of(slots).post("/v1/capacity/track", content=b"{").status_code == 400


def test_without_a_version_the_answer_is_to_ask_later() -> None:
    answer = client_of(Slots()).get("/v1/capacity/forecast", params=DAY)
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "5"


def test_what_was_asked_is_logged(slots: Slots, forecaster: Forecaster) -> None:
    noted = Noted()
    client_of(slots, noted).get("/v1/capacity/forecast", params=DAY)
    (row,) = noted.rows
    assert (row.kind, row.series, row.step, row.version, row.role) == ("forecast", HOME, 3600, 7, "champion")
    assert row.companions == f"calendar:own-{forecaster.companion()}"
    assert (row.end - row.start, row.outcome) == (86_400_000_000, "asked")


def test_what_came_is_logged_once_with_its_band(slots: Slots, forecaster: Forecaster) -> None:
    noted = Noted()
    client = client_of(slots, noted)
    start, end = datetime(2026, 2, 20, 22, 30, tzinfo=UTC), datetime(2026, 2, 21, 1, tzinfo=UTC)
    said = forecaster.forecast(HOME, start, end, step=900).quantiles
    said = {level: values.tolist() for level, values in said.items()}
    came = [said[0.5][0], 2 * said[0.95][1], None, said[0.05][3] / 2, said[0.5][4]]
    body = {"series": HOME, "from": start.isoformat(), "to": end.isoformat(), "step": "15min"}
    for told in (came[:2], came, came):
        assert client.post("/v1/capacity/track", content=msgspec.json.encode(body | {"values": told})).is_success
    first = int(start.timestamp())
    assert [row.time // 1_000_000 - first for row in noted.rows] == [0, 900, 2700, 3600]
    assert [row.outcome == "outside" for row in noted.rows] == [False, True, True, False]
    assert [row.slice for row in noted.rows] == ["no event", "no event", "events", "events"], "it is 23:00 in Berlin"
    own = f"calendar:own-{forecaster.companion()}"
    assert {(row.kind, row.step, row.companions) for row in noted.rows} == {("actual", 900, own)}
    for row, number in zip(noted.rows, (0, 1, 3, 4), strict=True):
        assert row.actual == came[number]
        assert (row.low, row.forecast, row.high) == pytest.approx([said[q][number] for q in (0.05, 0.5, 0.95)])
    corrected = [came[0] + 1, *came[1:]]
    client.post("/v1/capacity/track", content=msgspec.json.encode(body | {"values": corrected}))
    assert [row.actual for row in noted.rows[4:]] == [corrected[0]], "another value is news"


class Planners:
    """An app that follows a calendar of its own, and what it logs."""

    def __init__(self, slots: Slots, folder: Path) -> None:
        self.folder, self.recorder = folder, Noted()
        here = replace(settings.load(), calendar=str(folder))
        domain = cast(Any, SimpleNamespace(name="capacity", companions=COMPANIONS))
        self.follower = CompanionFollower([domain], here)
        made = Host(slots, self.recorder, here, self.follower.companions)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from starlette.testclient import TestClient
        self.client = TestClient(Starlette(routes=routes(made), exception_handlers={Problem: on_problem}))

    def get(self, name: str, **asked: Any) -> Any:
        return self.client.get(f"/v1/capacity/{name}", params=asked)

    def post(self, body: Any) -> Any:
        return self.client.post("/v1/capacity/track", content=msgspec.json.encode(body))

    def move(self, start: str, end: str) -> None:
        change(self.folder, SALE, Signature("ana", "late"), start=start, end=end)


@pytest.fixture
def planners(tmp_path: Path, load_source: Path, slots: Slots) -> Planners:
    shutil.copyfile(load_source / "calendar.csv", tmp_path / "calendar.csv")
    made = Planners(slots, tmp_path)
    made.follower.look("capacity")
    return made


WINDOW = {"series": HOME, "from": "2026-02-20", "to": "2026-02-26", "step": "1d"}


def test_every_endpoint_uses_the_calendar_in_force_and_says_which(
    planners: Planners, get: Any, forecaster: Forecaster
) -> None:
    planners.move("2026-02-23", "2026-02-24")
    planners.follower.look("capacity")
    identity = planners.follower.companions.of("capacity")["calendar"].id
    assert identity != forecaster.companion()
    known = as_of(read_calendar(planners.folder), datetime.now(UTC))
    start, end = (datetime(2026, 2, day, tzinfo=UTC) for day in (20, 26))
    wanted = forecaster.forecast(HOME, start, end, step=86_400, calendar=known).quantiles[0.5]
    own = forecaster.forecast(HOME, start, end, step=86_400).quantiles[0.5]
    assert abs(wanted / own - 1).max() > 0.05
    said = planners.get("forecast", **WINDOW).json()
    assert (said["quantiles"]["0.5"], said["calendar"]) == (pytest.approx(wanted, abs=1e-3), identity)
    supposed = planners.get("whatif", **WINDOW, event=SALE, event_start="2026-02-21").json()
    assert supposed["before"] == pytest.approx(wanted, abs=1e-3)
    why = planners.get("explain", **DAY | {"from": "2026-02-23T18:00Z", "to": "2026-02-23T18:15Z"}).json()
    assert (why["events"], why["calendar"]) == (["Flash sale (sale), 2026-02-23 to 2026-02-24"], identity)
    tracked = planners.post(WINDOW | {"values": [float(own[0])]}).json()
    assert (tracked["forecast"], tracked["calendar"]) == (pytest.approx(wanted, abs=1e-3), identity)
    assert [row.companions for row in planners.recorder.rows] == [f"calendar:{identity}"] * 2
    peaks = [
        asked("forecast", series=HOME, **{"from": "2026-02-23", "to": "2026-02-24"}, peak=True).json()["peak"]["0.5"]
        for asked in (planners.get, get)
    ]
    assert peaks[0] > 1.05 * peaks[1], "the peak has the sale in it"


def test_without_a_calendar_of_planners_the_log_says_that_it_was_the_version_s_own(
    slots: Slots, forecaster: Forecaster
) -> None:
    recorder = Noted()
    assert client_of(slots, recorder).get("/v1/capacity/forecast", params=DAY).status_code == 200
    assert [row.companions for row in recorder.rows] == [f"calendar:own-{forecaster.companion()}"]


def test_a_calendar_that_breaks_leaves_the_one_before_in_force(planners: Planners) -> None:
    before = planners.get("forecast", **DAY).json()
    path = planners.folder / "calendar.csv"
    path.write_text(path.read_text() + "broken")
    planners.follower.look("capacity")
    assert planners.get("forecast", **DAY).json() == before
    assert "calendar.csv, line" in (planners.follower.companions.problem("capacity", "calendar") or "")


def test_a_calendar_that_was_never_read_is_said_and_nothing_is_forecast(slots: Slots, tmp_path: Path) -> None:
    (tmp_path / "calendar.csv").write_text("broken")
    broken = Planners(slots, tmp_path)
    assert "has not been read yet" in broken.get("forecast", **DAY).text
    broken.follower.look("capacity")
    answer = broken.get("forecast", **DAY)
    assert answer.status_code == 503
    assert "calendar.csv" in answer.text


def test_what_was_logged_is_decided_again_with_the_calendar_of_then(planners: Planners, forecaster: Forecaster) -> None:
    """A sale that was moved since does not put what came inside or outside of another band."""
    planners.move("2026-02-23", "2026-02-24")
    planners.follower.look("capacity")
    known = planners.follower.companions.of("capacity")["calendar"]
    start, end = (datetime(2026, 2, day, tzinfo=UTC) for day in (23, 24))
    came = forecaster.forecast(HOME, start, end, calendar=known.value).quantiles[0.5]
    body = {"series": HOME, "from": "2026-02-23", "to": "2026-02-24", "step": "15min", "values": came.tolist()}
    assert planners.post(body).status_code == 200
    rows = pl.DataFrame(
        [msgspec.structs.astuple(row) for row in planners.recorder.rows], schema=schema(LOG), orient="row", strict=False
    )
    assert set(rows["outcome"]) == {"inside"}
    planners.move("2026-02-25", "2026-02-26")
    domain = replace(CAPACITY, load=lambda bundle: forecaster)
    again = Redecider(replace(settings.load(), calendar=str(planners.folder)), domain, forecaster)
    assert again(rows)["outcome"].to_list() == rows["outcome"].to_list()
    own = rows.with_columns(companions=pl.lit(f"calendar:own-{known.id}"))
    assert "outside" in set(again(own)["outcome"]), "by the version's own the sale is elsewhere"
    gone = rows.with_columns(companions=pl.lit("calendar:0123456789ab"))
    assert again(gone)["outcome"].null_count() == len(rows)
    assert len(again.gone) == 1
    assert "0123456789ab" in again.gone[0]
