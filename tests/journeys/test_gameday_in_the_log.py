"""Clicks of a game day are in the log, and nothing that learns, compares, counts or corrects sees them."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl

from headgate.contract.gameday import tag_of
from headgate.decisions.compaction import compact
from headgate.decisions.reading import find, listed, parts, read_part
from headgate.decisions.recorder import Segments
from headgate.domain import get_domain
from headgate.domains.adclicks.data import raw
from headgate.domains.adclicks.serving.export import export
from headgate.domains.adclicks.serving.log_rows import LOG
from headgate.domains.adclicks.serving.warming import logged
from headgate.domains.capacity.companions.robots import counted
from headgate.settings import Settings

from ..domains.adclicks.logged import row

MINUTE = timedelta(minutes=1)
NOW = datetime.now(UTC)


def log_both(settings: Settings) -> None:
    """Three clicks of people, and five of a game day that were all invalid."""
    recorder = Segments(settings)
    tagged = {"campaign": f"{tag_of('sale')}campaign-1", "outcome": "invalid"}
    recorder.record("adclicks", [row(f"p{n}", NOW) for n in (1, 2, 3)])
    recorder.record("adclicks", [row(f"g{n}", NOW, **tagged) for n in range(5)])
    recorder.roll(everything=True)
    compact(settings, LOG)


def test_whatever_reads_part_by_part_sees_people_only(settings: Settings) -> None:
    """The watch, drift, shadows, replays and masks of robots do."""
    log_both(settings)
    assert [one for _, part in parts(settings, LOG) for one in part["decision_id"]] == ["p1", "p2", "p3"]
    seen = counted(settings, get_domain("adclicks"), NOW - MINUTE, NOW + MINUTE)
    assert (seen.decisions.sum(), seen.against.sum()) == (3, 0)


def test_what_is_exported_to_train_on_has_none(settings: Settings, tmp_path: Path) -> None:
    log_both(settings)
    told = export(settings, tmp_path / "out", None)
    clicks = pl.concat(raw.read_table(path, "clicks") for path in (tmp_path / "out" / "clicks").iterdir())
    assert sorted(clicks["click_id"]) == ["click p1", "click p2", "click p3"]
    assert "3 of them new" in told.words()


def test_a_decision_of_a_game_day_can_be_asked_for_and_counters_warm_with_it(settings: Settings) -> None:
    log_both(settings)
    found = find(settings, LOG, "g3")
    assert found is not None
    assert found[1]["campaign"][0].startswith("gameday:sale/")
    assert sum(len(read_part(settings, LOG, part)) for part in listed(settings, "adclicks")) == 8
    warmed, _ = logged(settings, NOW + MINUTE)
    assert len(warmed) == 8
