"""What holds of the log, and how much of it is in memory at once."""

import subprocess
import sys
from datetime import timedelta

import polars as pl
import pytest

from headgate.decisions.layout import corrections_folder
from headgate.decisions.reading import effective, parts, read_part, schema
from headgate.decisions.rulings import RULINGS
from headgate.settings import Settings

from .made import START, make_log


def test_a_window_holds_what_was_decided_in_it_and_no_more(settings: Settings) -> None:
    names = make_log(settings, 100, part=10, span=timedelta(days=2))
    every = pl.concat([rows for _, rows in parts(settings, "adclicks")])
    assert len(every) == 100
    assert every["decided_at"].is_sorted()
    since, until = START + timedelta(hours=20), START + timedelta(hours=30)
    found = list(parts(settings, "adclicks", since, until))
    expected = every.filter(pl.col("decided_at") >= since, pl.col("decided_at") < until)
    assert pl.concat([rows for _, rows in found]).equals(expected)
    assert [name for name, _ in found] == names[4:7]


def correct(settings: Settings, replay: str, part: str, **columns: list) -> None:
    path = corrections_folder(settings, "adclicks") / replay / f"{part}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    pl.DataFrame(columns).with_columns(pl.col("corrected_at").cast(pl.Datetime("us", "UTC"))).write_parquet(path)


@pytest.mark.parametrize("told", [True, False], ids=["part", "anywhere"])
def test_the_newest_correction_holds_and_a_persons_ruling_above_it(settings: Settings, told: bool) -> None:
    (part,) = make_log(settings, 4, against=0.0)
    logged = read_part(settings, "adclicks", part)
    ids = logged["decision_id"].to_list()
    later = START + timedelta(days=1)
    common = {"version": [2, 2, 2], "bundle": ["c" * 64] * 3, "slice": ["x"] * 3, "threshold": [None, 0.1, 0.1]}
    correct(settings, "b", part, decision_id=ids[:3], corrected_at=[later] * 3, against=[True] * 3, **common)
    one = {"version": [3], "bundle": ["d"], "slice": ["y"], "threshold": [0.9]}
    correct(settings, "a", part, decision_id=ids[1:2], corrected_at=[later + timedelta(days=1)], against=[False], **one)
    rulings = corrections_folder(settings, "adclicks") / RULINGS
    rulings.mkdir()
    for name, against in (("1", True), ("2", False)):
        pl.DataFrame({"decision_id": ids[2:3], "against": [against], "who": ["me"], "why": [""]}).write_parquet(
            rulings / f"{name}.parquet"
        )
    held = effective(settings, "adclicks", logged, part if told else None)
    assert held["decision_id"].to_list() == ids
    assert held["against"].to_list() == [True, False, False, False]
    assert held["version"].to_list() == [2, 3, 2, 1]
    assert held["threshold"].to_list() == [None, pytest.approx(0.9), pytest.approx(0.1), 0.5]
    assert held["replay"].to_list() == ["b", "a", "b", None]
    assert held["ruled"].to_list() == [False, False, True, False]
    assert {name: held.schema[name] for name in schema("adclicks")} == schema("adclicks")
    assert held.select(logged.columns)[3].equals(logged[3]), "what nothing corrected is as it was"


READ = """
import resource, sys
from headgate import settings
from headgate.decisions.reading import parts
rows = 0
for number, (_, part) in enumerate(parts(settings.load(), "adclicks")):
    rows += len(part)
    if number == 3:
        early = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(rows, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - early)
"""


def test_a_log_of_any_length_is_read_in_the_memory_of_a_part(settings: Settings) -> None:
    make_log(settings, 200_000, part=5_000)
    whole = sum(rows.estimated_size() for _, rows in parts(settings, "adclicks"))
    done = subprocess.run([sys.executable, "-c", READ], capture_output=True, text=True, check=True)
    rows, grown = map(int, done.stdout.split())
    assert rows == 200_000
    assert grown * 1024 < whole / 3, f"{grown} KiB for {whole >> 10}"
