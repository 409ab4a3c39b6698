"""What is told of a game day: the verdict in words, its picture, and the reports that plans read."""

import logging
from pathlib import Path

import msgspec
import pytest
from matplotlib.figure import Figure

from headgate.domains.capacity.gameday import picture, report
from headgate.errors import UsageError

from .days import made, rehearsed, tried


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({}, "p99 ≤ 50 ms breaks at 1,450 requests/s (kept up to 1,500, broken from 1,400)."),
        ({"limited": "most", "rate": 1000.0, "low": 1000.0, "high": 1000.0}, "is kept up to 1,000 requests/s."),
        (
            {"limited": "time", "rate": 14.0, "low": 20.0, "high": 20.0},
            "No limit of p99 ≤ 50 ms was found: the highest rate that kept it was 20/s, the lowest that broke it was "
            "20/s.",
        ),
        ({"limited": "failed", "rate": None, "low": None, "high": 50.0}, "the highest rate that kept it was 50/s."),
    ],
)
def test_a_rate_is_told_as_the_limit_only_where_it_settled(told: dict[str, object], said: str) -> None:
    words = made(steps=[tried(50)], **told).words().splitlines()
    assert words[0].endswith("1 step in 5.0 min.")
    assert words[1].endswith(said)


def test_nothing_tried_is_said_to_be_nothing() -> None:
    words = made(limited="interrupted", rate=None, low=None, high=None, units=None, stopped=True).words()
    assert "No limit of p99 ≤ 50 ms was found: not one step was over." in words


@pytest.mark.parametrize(
    ("broke", "said"),
    [("---", "the objective was kept all along."), ("-x-?", "2 of 4 windows broke, never two in a row.")],
)
def test_windows_that_broke_alone_are_counted(broke: str, said: str) -> None:
    assert made(rehearsal=rehearsed(broke)).words().endswith(said)


def test_units_of_no_type_are_said_to_be_of_speed_1() -> None:
    assert "(type not told, taken as speed 1)" in made(type="").source()


def drawn(monkeypatch: pytest.MonkeyPatch, path: Path, one: report.GameDay) -> Figure:
    """The figure that becomes the picture."""
    figures: list[Figure] = []
    save = Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda self, *a, **k: (figures.append(self), save(self, *a, **k))[1])
    picture.draw(one, path)
    return figures[0]


def test_a_narrow_range_has_plain_ticks_and_no_limit_is_drawn_where_none_was_found(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    steps = [tried(3800), tried(4500), tried(4200, 70.0, "latency"), tried(4300, None, "latency")]
    figure = drawn(monkeypatch, tmp_path / "day.png", made(limited="time", rate=4200.0, steps=steps))
    (axes,) = figure.axes
    ticks = [tick.get_text() for tick in axes.get_xticklabels(which="both")]
    assert {"4,000", "4,200", "4,400"} <= set(ticks)
    assert not any("10^" in tick for tick in ticks)
    assert not any("/s" in words.get_text() for words in axes.texts), "the rate is no limit"
    assert axes.get_ylim()[1] < 100, "what was not answered has no latency"


def test_what_cannot_be_read_is_left_out_with_a_warning_where_there_is_another(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    good = made()
    file = report.write(good, tmp_path / report.FOLDER)
    (file.parent / "x.json").write_bytes(msgspec.json.encode(msgspec.to_builtins(good) | {"each": None}))
    with caplog.at_level(logging.WARNING):
        assert report.newest(tmp_path, good.series) == good
    assert "x.json is no game day" in caplog.text
    file.unlink()
    with pytest.raises(UsageError, match=r"x.json is no game day"):
        report.newest(tmp_path, good.series)
