"""The log as raw files to train on."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from headgate.decisions.compaction import compact
from headgate.decisions.learning import from_log
from headgate.decisions.reading import listed
from headgate.decisions.recorder import Segments
from headgate.domain import Request, get_domain
from headgate.domains.adclicks.data import raw
from headgate.domains.adclicks.data.schema import CLICKS
from headgate.domains.adclicks.features.click import micros
from headgate.domains.adclicks.serving.export import Exported, export
from headgate.domains.adclicks.serving.log_rows import LOG
from headgate.errors import DataRefused, UsageError
from headgate.files import sha256
from headgate.settings import Settings

from ..logged import NOON, row

ADCLICKS = get_domain("adclicks")


def log(settings: Settings, clicks: Sequence[tuple[str, datetime]], **told: object) -> None:
    """Log clicks that were received at an instant, as one part."""
    recorder = Segments(settings)
    recorder.record(
        "adclicks",
        [row(f"{micros(at)}-{one}", NOON, click_id=one, received_at=micros(at), **told) for one, at in clicks],
    )
    recorder.roll(everything=True)
    compact(settings, LOG)


def exported(settings: Settings, out: Path, outcomes: Path | None = None) -> Exported:
    report = export(settings, out, str(outcomes) if outcomes else None)
    assert isinstance(report, Exported)
    return report


def test_each_click_is_there_once_on_the_day_it_arrived_as_the_raw_schema_wants_it(settings, tmp_path) -> None:
    late = NOON - timedelta(days=2)
    log(settings, [("b", NOON), ("a", NOON), ("late", late)])
    log(settings, [("a", NOON + timedelta(seconds=9)), ("c", NOON + timedelta(seconds=1))], role="canary")
    log(settings, [("by default", NOON)], role="default", features=None, score=None)
    report = exported(settings, tmp_path / "out")
    assert (report.days, report.new_clicks, report.outcome_files, report.missing) == (2, 4, 0, 0)
    assert raw.check_file(tmp_path / "out/clicks/2026-01-03.parquet", "clicks") == 1
    today = raw.read_table(tmp_path / "out/clicks/2026-01-05.parquet", "clicks")
    assert today["click_id"].to_list() == ["a", "b", "c"]
    assert today["received_at"][0] == NOON, "of a repeated click the first to arrive"
    assert today.schema == CLICKS
    assert today.row(0, named=True)["utc_offset_min"] == 60


def test_a_day_that_is_over_keeps_its_bytes_whatever_the_order_of_the_log(settings, tmp_path) -> None:
    day, next_day = date(2026, 1, 5), NOON + timedelta(days=1)
    log(settings, [("b", NOON + timedelta(seconds=1)), ("c", NOON)])
    log(settings, [("a", NOON), ("b", NOON + timedelta(seconds=5))])
    step_by_step, at_once = tmp_path / "steps", tmp_path / "once"
    exported(settings, step_by_step)
    written = (step_by_step / f"clicks/{day}.parquet").stat().st_mtime_ns
    log(settings, [("d", next_day), ("c", NOON)])
    report = exported(settings, step_by_step)
    assert report.new_clicks == 1
    assert (step_by_step / f"clicks/{day}.parquet").stat().st_mtime_ns == written
    exported(settings, at_once)
    for path in sorted(at_once.rglob("*.parquet")):
        assert sha256(path) == sha256(step_by_step / path.relative_to(at_once))
    assert exported(settings, at_once).new_clicks == 0


def test_what_is_killed_before_it_notes_what_it_did_adds_nothing_twice(settings, tmp_path) -> None:
    log(settings, [("a", NOON), ("b", NOON)])
    out = tmp_path / "out"
    exported(settings, out)
    (out / "exported.json").unlink()
    assert exported(settings, out).new_clicks == 0
    assert len(pl.read_parquet(out / "clicks/*.parquet")) == 2


def test_outcomes_come_along_from_the_first_day_of_clicks_on(settings, tmp_path) -> None:
    known = [NOON - timedelta(days=1), NOON, NOON + timedelta(days=1)]
    purchases = pl.DataFrame(
        {
            "purchase_id": ["1", "2", "3"],
            "click_id": ["x", "a", "b"],
            "purchased_at": known,
            "known_at": known,
            "amount": [1.0, 2.0, 3.0],
        }
    ).with_columns(pl.col("purchased_at", "known_at").cast(pl.Datetime("us", "UTC")))
    raw.write_days(purchases, "purchases", tmp_path / "shop")
    log(settings, [("a", NOON), ("b", NOON)])
    report = exported(settings, tmp_path / "out", tmp_path / "shop")
    assert report.outcome_files == 2
    assert sorted(path.name for path in (tmp_path / "out/purchases").iterdir()) == [
        "2026-01-05.parquet",
        "2026-01-06.parquet",
    ]


def test_rows_that_could_not_be_logged_are_told(settings, tmp_path) -> None:
    (settings.home / "log").parent.mkdir(parents=True, exist_ok=True)
    (settings.home / "log").write_text("a file where a folder should be")
    recorder = Segments(settings)
    recorder.record("adclicks", [row("1"), row("2")])
    (settings.home / "log").unlink()
    recorder.record("adclicks", [row("3")])
    recorder.roll(everything=True)
    report = exported(settings, tmp_path / "out")
    assert (report.new_clicks, report.missing) == (1, 2)
    assert "2 more were decided and could not be logged" in report.words()


def test_an_empty_log_is_refused(settings, tmp_path) -> None:
    with pytest.raises(DataRefused, match="holds no click yet"):
        exported(settings, tmp_path / "out")


def test_a_snapshot_of_the_log_is_a_snapshot_of_what_was_served(settings, tmp_path, calm) -> None:
    """Simulated clicks, logged as if they had been served, give the very snapshot that their own files give."""
    clicks = pl.concat([raw.read_table(path, "clicks") for path in sorted((calm / "clicks").glob("*.parquet"))])
    clicks = clicks.filter(pl.col("user_id").hash(0) % 50 == 0)
    raw.write_days(clicks, "clicks", tmp_path / "served")
    instants = [pl.col(name).dt.epoch("us") for name in ("event_time", "received_at")]
    recorder = Segments(settings)
    for part in clicks.with_columns(instants).iter_slices(1000):
        recorder.record("adclicks", [row(one["click_id"], NOON, **one) for one in part.to_dicts()])
    recorder.roll(everything=True)
    out = tmp_path / "out"
    exported(settings, out, calm)
    as_of = datetime(2026, 1, 22, tzinfo=UTC)
    for name, source in (("log", out), ("files", tmp_path / "served")):
        (tmp_path / name).mkdir()
        ADCLICKS.snapshot(Request(str(source), as_of), tmp_path / name)
    for path in sorted((tmp_path / "files/raw/clicks").iterdir()):
        assert sha256(path) == sha256(tmp_path / "log/raw/clicks" / path.name)
    assert len(list((tmp_path / "log/raw/purchases").iterdir())) > 10


def test_retraining_on_the_log_brings_its_raw_files_up_to_date_first(settings, tmp_path) -> None:
    log(settings, [("a", NOON)])
    source = from_log(settings, ADCLICKS, None)
    assert Path(source) == settings.home / "log/adclicks/raw"
    log(settings, [("b", NOON)])
    from_log(settings, ADCLICKS, None)
    assert len(pl.read_parquet(f"{source}/clicks/*.parquet")) == 2
    assert len(listed(settings, "adclicks")) == 2, "the files are no part of the log"
    with pytest.raises(UsageError, match="no folder"):
        from_log(settings, ADCLICKS, str(tmp_path / "nowhere"))
