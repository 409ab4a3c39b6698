"""Robots that `adclicks` finds become masks of the load, and go again where a replay gives the clicks back."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import typer
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from headgate import settings
from headgate.decisions.layout import claim, log_folder, part_name
from headgate.decisions.reading import schema
from headgate.decisions.rulings import rule
from headgate.domain import get_domain
from headgate.domains.capacity.commands.calendar import mask_app
from headgate.domains.capacity.companions.calendar import as_of, read_masks
from headgate.domains.capacity.companions.robots import TOGETHER, Counted, blocks
from headgate.errors import DataRefused, UsageError
from headgate.settings import Settings

from ...adclicks.logged import make_rows

START = datetime(2026, 1, 5, tzinfo=UTC)
SERIES = (
    "series,region,service,metric,unit,zone,step,aggregation,analogue\n"
    "in/cart/requests,in,cart,requests,requests,Asia/Kolkata,60,sum,\n"
)


def days(
    seed: int, rate: float, usual: float, attack: tuple[int, int, float] | None = None, minutes: int = 2880
) -> Counted:
    """Two days of decisions with a daily rhythm, a `usual` share against; `attack` adds its share from … to."""
    random = np.random.default_rng(seed)
    rhythm = rate * (1 + 0.8 * np.sin(2 * np.pi * np.arange(minutes) / 1440))
    people = random.poisson(rhythm)
    against = random.binomial(people, usual)
    robots = np.zeros(minutes, dtype=np.int64)
    if attack:
        start, end, share = attack
        robots[start:end] = random.poisson(rate * share / (1 - share), end - start)
    return Counted(START, people + robots, against + robots)


def test_a_block_of_robots_is_found_where_it_was() -> None:
    (block,) = blocks(days(1, 200, 0.03, (1500, 1620, 0.3)), 0.05)
    assert abs((block.start - START) / timedelta(minutes=1) - 1500) <= TOGETHER
    assert abs((block.end - START) / timedelta(minutes=1) - 1620) <= TOGETHER
    assert 0.2 < block.share < 0.5


@pytest.mark.parametrize("usual", [0.0, 0.02, 0.3])
def test_what_is_usual_is_no_robot(usual: float) -> None:
    """Whatever the share is, and however it swings by chance: 40 pairs of days, 10 to 400 decisions a minute."""
    found = [blocks(days(seed, rate, usual), 0.05) for seed in range(10) for rate in (10, 30, 100, 400)]
    assert sum(map(len, found)) == 0


@given(st.integers(0, 2**32 - 1), st.integers(100, 2500), st.integers(30, 300), st.floats(0.25, 0.9))
@hypothesis_settings(max_examples=40, deadline=None)
def test_wherever_robots_are_most_of_their_minutes_are_found_and_few_others(
    seed: int, start: int, length: int, share: float
) -> None:
    found = blocks(days(seed, 300, 0.02, (start, start + length, share)), 0.05)
    hit = np.zeros(2880, dtype=bool)
    for block in found:
        first, end = (int((at - START) / timedelta(minutes=1)) for at in (block.start, block.end))
        hit[first:end] = True
    inside = slice(start, start + length)
    assert hit[inside].mean() > 0.8
    assert hit.sum() - hit[inside].sum() <= 2 * TOGETHER


def test_too_little_to_know_what_is_usual_is_said() -> None:
    with pytest.raises(DataRefused, match="let --from be a day or more before"):
        blocks(days(1, 50, 0.1, minutes=60), 0.05)


# -- the command -------------------------------------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("HEADGATE_HOME", str(tmp_path / "state"))
    return replace(settings.load(), home=tmp_path / "state")


@pytest.fixture
def attacked(home: Settings) -> list[str]:
    """A log of six hours, ten clicks a minute; in the fourth hour forty more, all decided against. Their ids."""
    calm = make_rows(3600, start=START, every=timedelta(seconds=6), invalid=0.05)
    attack = make_rows(2400, first=3600, start=START + timedelta(hours=3), every=timedelta(seconds=1.5), invalid=1.0)
    rows = pl.concat([calm, attack]).sort("decided_at")
    claim(log_folder(home, "adclicks"))
    folder = log_folder(home, "adclicks") / f"{START:%Y-%m-%d}"
    folder.mkdir(parents=True)
    rows.cast(schema(get_domain("adclicks").logs.log)).write_parquet(
        folder / f"{part_name('worker-1-0000000000', START)}.parquet"
    )
    return attack["decision_id"].to_list()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "load").mkdir()
    (tmp_path / "load" / "series.csv").write_text(SERIES)
    return tmp_path / "load"


@pytest.fixture
def run(source: Path) -> Callable[..., Result]:
    app = typer.Typer()
    app.add_typer(mask_app, name="mask")

    def call(*more: str) -> Result:
        window = ("--from", "2026-01-05T00:00Z", "--to", "2026-01-05T06:00Z", "--in", str(source), "--author", "ana")
        result = CliRunner().invoke(app, ["mask", "robots", *window, *more])
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return call


def test_what_adclicks_decides_against_is_masked_once(
    run: Callable[..., Result], source: Path, attacked: list[str]
) -> None:
    assert "Dry run" in run("--dry-run").output or not (source / "masks.csv").exists()
    assert not (source / "masks.csv").exists()
    result = run()
    (mask,) = as_of(read_masks(source), datetime.now(UTC))
    assert (mask.effect, mask.region, mask.services, mask.reason) == (
        "robots",
        "*",
        ("*",),
        "decided against by adclicks",
    )
    start, end = mask.span("UTC")
    assert abs(start - START - timedelta(hours=3)) <= timedelta(minutes=TOGETHER)
    assert abs(end - START - timedelta(hours=4)) <= timedelta(minutes=TOGETHER)
    assert "beyond what is usual" in result.output
    assert "Nothing changes." in run().output
    assert len(read_masks(source)) == 1


def test_a_mask_is_withdrawn_where_the_clicks_were_given_back(
    run: Callable[..., Result], home: Settings, source: Path, attacked: list[str]
) -> None:
    run("--region", "in", "--service", "cart")
    run("--region", "in")
    rule(home, get_domain("adclicks"), attacked, outcome="valid", who="ann", why="a football match")
    assert "There is no block" in run("--region", "in").output
    (left,) = as_of(read_masks(source), datetime.now(UTC))
    assert left.services == ("cart",), "masks of other series are left alone"


def test_what_cannot_be_masked_is_said(run: Callable[..., Result], source: Path, home: Settings) -> None:
    with pytest.raises(DataRefused, match="The decision log of adclicks has nothing from 2026-01-05 00:00"):
        run()
    with pytest.raises(UsageError, match="no share of the load"):
        run("--least", "5")
    with pytest.raises(UsageError, match="is not over yet"):
        run("--to", f"{datetime.now(UTC).year + 1}-01-01")
    assert not (source / "masks.csv").exists()
