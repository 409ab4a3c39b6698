"""`headgate capacity gameday`, from the command line to report, picture and masks, on a server of known capacity."""

import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from headgate import settings
from headgate.cli import app
from headgate.data.datasets import exclusively
from headgate.domains.capacity.companions.calendar import as_of, read_calendar, read_masks
from headgate.domains.capacity.data.raw import write_series
from headgate.domains.capacity.gameday import report
from headgate.domains.capacity.model.forecaster import Forecaster
from headgate.errors import HeadgateError, UsageError
from headgate.load.objective import Judged
from headgate.load.trial import Trial
from headgate.registry import versions

from ....load.servers import Queue, answering, decided, ok

Call = Callable[..., Result]


@pytest.fixture
def source(forecaster: Forecaster, tmp_path: Path) -> Path:
    (tmp_path / "shop").mkdir()
    like = replace(forecaster.series[0], analogue="")
    parts = [("eu", "a"), ("eu", "b"), ("us", "a"), (like.region, like.service)]
    more = [replace(like, series=f"{r}/{s}/{like.metric}", region=r, service=s) for r, s in parts]
    write_series(more, tmp_path / "shop")
    return tmp_path / "shop"


@pytest.fixture
def address() -> Iterator[str]:
    with answering(lambda number: decided(), Queue(250)) as url:
        yield url


@pytest.fixture
def day(
    load_work: Path, forecaster: Forecaster, source: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Call]:
    """The command on the small forecaster; what it raises is raised, the rest answered."""
    monkeypatch.setenv("HEADGATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(versions, "wanted", lambda *_: SimpleNamespace(number=7, bundle="b7"))
    monkeypatch.setattr(versions, "fetch", lambda *_: load_work / "bundle")
    one = forecaster.series[0].series
    event = next(e.event for e in as_of(read_calendar(load_work / "bundle"), forecaster.as_of) if e.kind != "break")
    quick = ["--objective", "p50=40ms", "--failures", "0.5", "--seconds", "0.4", "--from", "150", "--minutes", "0.02"]

    def call(*arguments: object, series: str = one, event: str = event) -> Result:
        told = ["capacity", "gameday", "--event", event, "--series", series, *quick, *map(str, arguments)]
        result = CliRunner().invoke(app, told)
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return call


def steep(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the steps of the search be those of a steep limit, so that they take no time."""

    def attempt(_: object, rate: float) -> Judged:
        return Judged(1000, 0.06, 0.0, 0.0, 0.1, "latency" if rate > 300 else "", False)

    monkeypatch.setattr(Trial, "attempt", attempt)


def reports(tmp_path: Path) -> list[report.GameDay]:
    return [report.read(path) for path in sorted((tmp_path / "state" / "gameday").glob("*.json"))]


def test_a_game_day_finds_the_limit_rehearses_the_event_and_masks_its_minutes(
    day: Call, address: str, source: Path, tmp_path: Path, forecaster: Forecaster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rehearsal is a real load."""
    steep(monkeypatch)
    done = day("--target", address, "--in", source, "--type", "m7i.2xlarge", "--each", 10, "--author", "ana")
    assert done.exit_code == 0, done.output
    (made,) = reports(tmp_path)
    one = forecaster.series[0]
    assert made.limited == "target"
    assert made.rate == pytest.approx(300, rel=0.03)
    assert made.units == pytest.approx(made.rate * one.step * 10)
    assert "Full, m7i.2xlarge carries" in done.output
    assert made.rehearsal is not None
    assert made.rehearsal.peak == pytest.approx(0.65 * made.rate)
    assert made.rehearsal.version == 7
    assert ("kept all along" in done.output) is (not any(window.why for window in made.rehearsal.windows))
    assert next((tmp_path / "state" / "gameday").glob("*.png")).read_bytes().startswith(b"\x89PNG")
    planned, corrected = read_masks(source)
    assert (planned.mask, planned.effect, planned.author) == (corrected.mask, "load-test", "ana")
    assert made.masks == [planned.mask]
    assert corrected.applies(one.region, one.service)
    assert not corrected.applies("elsewhere", one.service)
    start, end = corrected.span("UTC")
    assert start <= made.started < made.ended <= end < planned.span("UTC")[1]


@pytest.mark.parametrize(
    "ctrl_c",
    [
        pytest.param(signal.default_int_handler, id="in front"),
        pytest.param(signal.SIG_IGN, id="in the background", marks=pytest.mark.nightly),
    ],
)
def test_one_that_is_stopped_leaves_the_mask_with_its_true_end_and_reports_what_there_is(
    day: Call, source: Path, tmp_path: Path, ctrl_c: Any
) -> None:
    under_way = []
    before = signal.signal(signal.SIGINT, ctrl_c)

    def answer(number: int) -> bytes:
        if number == 120:
            under_way.extend(read_masks(source))
            threading.Thread(target=os.kill, args=(os.getpid(), signal.SIGTERM)).start()
        return decided()

    with answering(answer) as url:
        done = day("--target", url, "--in", source)
    assert signal.signal(signal.SIGINT, before) is ctrl_c
    assert done.exit_code == 1, "no limit was found"
    (made,) = reports(tmp_path)
    assert (made.limited, made.stopped) == ("interrupted", True)
    assert "no plan takes it" in done.output
    planned, corrected = read_masks(source)
    assert under_way == [planned], "a kill would leave the minutes masked"
    assert corrected.span("UTC")[1] < planned.span("UTC")[1]
    assert report.newest(tmp_path / "state", made.series) is None


def test_ctrl_c_before_the_first_step_is_over_reports_that_nothing_was_tried(
    day: Call, address: str, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> Judged:
        raise KeyboardInterrupt

    monkeypatch.setattr(Trial, "attempt", interrupted)
    done = day("--target", address, "--in", source)
    assert done.exit_code == 1
    assert "not one step was over" in done.output
    assert f"Masked by {read_masks(source)[0].mask} in" in done.output
    assert not list((tmp_path / "state" / "gameday").glob("*.png"))


def test_two_game_days_never_break_one_target_at_once(day: Call, address: str, source: Path) -> None:
    here = settings.load()
    name = "gameday-{}-{}".format(*address.removeprefix("http://").split(":"))
    with exclusively(here, name), pytest.raises(HeadgateError, match="Another run holds gameday-127"):
        day("--target", address, "--in", source)
    assert read_masks(source) == ()


def test_who_refuses_is_told_before_anything_is_masked(day: Call, source: Path) -> None:
    said = pytest.raises(HeadgateError, match="Name a token with the scope")
    with answering(lambda number: ok(status="401 Unauthorized")) as url, said:
        day("--target", url, "--in", source)
    with pytest.raises(HeadgateError, match="Nothing answers at"):
        day("--target", "http://127.0.0.1:9", "--in", source)
    for answer, why in ((ok(), "its answers hold no decision"), (ok(status="501 Not Implemented"), "HTTP 501")):
        no_headgate = pytest.raises(HeadgateError, match=rf"No Headgate that decides on clicks answers at .*\({why}\)")
        with answering(lambda number, answer=answer: answer) as url, no_headgate:  # type: ignore[misc]
            day("--target", url, "--in", source)
    assert read_masks(source) == ()


def test_several_series_of_a_region_are_one_mask_and_programs_get_json(
    day: Call, address: str, source: Path, forecaster: Forecaster
) -> None:
    metric = forecaster.series[0].metric
    seen = [arg for name in ("eu/a", "eu/b", "us/a") for arg in ("--mask-series", f"{name}/{metric}")]
    done = day("--target", address, "--in", source, "--minutes", 0, "--within", 0.01, "--json", *seen)
    assert done.exit_code == 1
    told: dict[str, Any] = json.loads(done.stdout)
    assert told["limited"] == "time"
    assert told["rehearsal"] is None
    last = {row.mask: row for row in read_masks(source)}
    assert {(row.region, row.services) for row in last.values()} == {("eu", ("a", "b")), ("us", ("a",))}
    assert sorted(last) == sorted(told["masks"])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--target", "http://192.0.2.1:8000"], "add --yes"),
        (["--target", "http://127.0.0.1:9", "--utilisation", "2"], "must lie between 0 and 1"),
        (["--target", "http://127.0.0.1:9", "--objective", "fast"], "write p99=50ms"),
        (["--target", "http://127.0.0.1:9"], "Say which source is to mask"),
        (["--target", "http://127.0.0.1:9", "--most", "10"], "lies above --most"),
        (["--target", "http://127.0.0.1:9", "--each", "nan"], "--each is not a number"),
        (["--target", "http://127.0.0.1:9", "--minutes", "nan"], "--minutes is not a number"),
        (["--target", "http://127.0.0.1:9", "--failures", "nan"], "--failures nan is no share"),
        (["--target", "http://127.0.0.1:9", "--quantile", "nan"], "must lie between 0 and 1"),
        (["--target", "http://127.0.0.1:9", "--no-mask", "--in", "."], "--no-mask masks nothing"),
        (["--target", "http://127.0.0.1:9", "--in", "/nonexistent"], "/nonexistent is no source of load"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_sent(day: Call, arguments: list[str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        day(*arguments)


@pytest.mark.parametrize("option", ["--each", "--from", "--most", "--seconds", "--within", "--minutes"])
def test_without_bound_is_no_number_of_a_game_day(day: Call, option: str) -> None:
    done = day("--target", "http://127.0.0.1:9", option, "inf")
    assert done.exit_code == 2
    assert "is not in the range" in done.output


def test_masks_are_only_for_series_of_the_source(day: Call, address: str, source: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is no source of load"):
        day("--target", address, "--in", tmp_path)
    with pytest.raises(UsageError, match="has no series nope/x/y: name one that it has by --mask-series, such as eu/"):
        day("--target", address, "--in", source, "--mask-series", "nope/x/y")
    assert not (tmp_path / "masks.csv").exists()
    assert read_masks(source) == ()


def test_events_and_series_that_are_not_there_are_named(day: Call, source: Path) -> None:
    with pytest.raises(UsageError, match="has no event nosuch; it has, for example"):
        day("--target", "http://127.0.0.1:9", "--in", source, event="nosuch")
    with pytest.raises(UsageError, match="no series eu/x/y"):
        day("--target", "http://127.0.0.1:9", "--in", source, series="eu/x/y")
