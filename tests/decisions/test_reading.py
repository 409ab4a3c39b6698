"""What holds of the log, and how much of it is in memory at once."""

import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from headgate.decisions.layout import claim, corrections_folder
from headgate.decisions.reading import effective, parts, read_part, schema
from headgate.decisions.rulings import rule
from headgate.errors import UsageError
from headgate.settings import Settings

from ..toy import ROOMS
from .made import LOG, START, make_log

ROOT = Path(__file__).parents[2]


def test_a_window_holds_what_was_decided_in_it_and_no_more(settings: Settings) -> None:
    names = make_log(settings, 100, part=10, span=timedelta(days=2))
    every = pl.concat([rows for _, rows in parts(settings, LOG)])
    assert len(every) == 100
    assert every["decided_at"].is_sorted()
    since, until = START + timedelta(hours=20), START + timedelta(hours=30)
    found = list(parts(settings, LOG, since, until))
    expected = every.filter(pl.col("decided_at") >= since, pl.col("decided_at") < until)
    assert pl.concat([rows for _, rows in found]).equals(expected)
    assert [name for name, _ in found] == names[4:7]


def correct(settings: Settings, replay: str, part: str, **columns: list) -> None:
    claim(corrections_folder(settings, LOG.name))
    path = corrections_folder(settings, LOG.name) / replay / f"{part}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    pl.DataFrame(columns).with_columns(pl.col("corrected_at").cast(pl.Datetime("us", "UTC"))).write_parquet(path)


@pytest.mark.parametrize("told", [True, False], ids=["part", "anywhere"])
def test_the_newest_correction_holds_and_a_persons_ruling_above_it(settings: Settings, told: bool) -> None:
    (part,) = make_log(settings, 4, adverse=0.0)
    logged = read_part(settings, LOG, part)
    ids = logged["decision_id"].to_list()
    later = START + timedelta(days=1)
    common = {"version": [2, 2, 2], "bundle": ["c" * 64] * 3, "slice": ["x"] * 3, "usual": [None, 18.0, 18.0]}
    correct(settings, "b", part, decision_id=ids[:3], corrected_at=[later] * 3, outcome=["cold"] * 3, **common)
    one = {"version": [3], "bundle": ["d"], "slice": ["y"], "usual": [19.0]}
    correct(settings, "a", part, decision_id=ids[1:2], corrected_at=[later + timedelta(days=1)], outcome=["hot"], **one)
    for outcome in ("hot", "fine"):
        rule(settings, ROOMS, ids[2:3], outcome=outcome, who="me", why="I asked them")
    held = effective(settings, LOG, logged, part if told else None)
    assert held["decision_id"].to_list() == ids
    assert held["outcome"].to_list() == ["cold", "hot", "fine", "fine"]
    assert held["version"].to_list() == [2, 3, 2, 1]
    assert held["usual"].to_list() == [None, 19.0, 18.0, 20.0]
    assert held["replay"].to_list() == ["b", "a", "b", None]
    assert held["ruled"].to_list() == [False, False, True, False]
    assert {name: held.schema[name] for name in schema(LOG)} == schema(LOG)
    assert held.select(logged.columns)[3].equals(logged[3]), "what nothing corrected is as it was"


def test_a_ruling_with_an_outcome_that_the_domain_does_not_know_is_refused(settings: Settings) -> None:
    with pytest.raises(UsageError, match=r"rooms has no outcome 'warm'; there are: fine, cold, hot\."):
        rule(settings, ROOMS, ["20260105-made000000-1"], outcome="warm", who="me", why="")
    assert not corrections_folder(settings, LOG.name).exists()


READ = """
import resource, sys
from headgate import settings
from headgate.decisions.reading import parts
from tests.decisions.made import LOG
rows = 0
for number, (_, part) in enumerate(parts(settings.load(), LOG)):
    rows += len(part)
    if number == 3:
        early = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(rows, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - early)
"""


def test_a_log_of_any_length_is_read_in_the_memory_of_a_part(settings: Settings) -> None:
    make_log(settings, 200_000, part=5_000)
    whole = sum(rows.estimated_size() for _, rows in parts(settings, LOG))
    done = subprocess.run([sys.executable, "-c", READ], cwd=ROOT, capture_output=True, text=True, check=True)
    rows, grown = map(int, done.stdout.split())
    assert rows == 200_000
    assert grown * 1024 < whole / 3, f"{grown} KiB for {whole >> 10}"
