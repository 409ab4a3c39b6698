"""`GET /v1/capacity/…` and `POST /v1/capacity/track`: answers, and refusals that name what is wrong."""

import csv
import io
import warnings
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from starlette.applications import Starlette

from headgate.api.problems import Problem, on_problem
from headgate.contract.row import Recorder
from headgate.contract.slots import Loaded, Slots
from headgate.domains.capacity.model.forecaster import Forecaster
from headgate.domains.capacity.serving.routes import routes

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
    assert row.companions == forecaster.companion()
    assert (row.end - row.start, row.against) == (86_400_000_000, False)


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
    assert [row.against for row in noted.rows] == [False, True, True, False]
    assert [row.slice for row in noted.rows] == ["no event", "no event", "events", "events"], "it is 23:00 in Berlin"
    assert {(row.kind, row.step, row.companions) for row in noted.rows} == {("actual", 900, forecaster.companion())}
    for row, number in zip(noted.rows, (0, 1, 3, 4), strict=True):
        assert row.actual == came[number]
        assert (row.low, row.forecast, row.high) == pytest.approx([said[q][number] for q in (0.05, 0.5, 0.95)])
    corrected = [came[0] + 1, *came[1:]]
    client.post("/v1/capacity/track", content=msgspec.json.encode(body | {"values": corrected}))
    assert [row.actual for row in noted.rows[4:]] == [corrected[0]], "another value is news"
