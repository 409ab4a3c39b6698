"""The snapshot: what was known of load at one instant and nothing that came later, verbatim."""

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from headgate.domain import Request
from headgate.domains.capacity.companions.calendar import as_of, companion_id, read_calendar, read_masks
from headgate.domains.capacity.data import snapshots
from headgate.domains.capacity.data.raw import load_matrix, load_points, read_series
from headgate.domains.capacity.data.snapshots import Snapshot
from headgate.domains.capacity.simulated.simulator import simulate
from headgate.domains.capacity.simulated.sizes import LoadSizes
from headgate.errors import DataRefused, UsageError
from headgate.files import read_json, sha256

END = datetime(2026, 1, 15, tzinfo=UTC)  # the day after the tenth and last
HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("data") / "outage"
    simulate(out, LoadSizes(days=10, step=900), scenario="outage", seed=2)
    return out


@pytest.fixture
def own(source: Path, tmp_path: Path) -> Path:
    """A copy of the source that a test may change."""
    shutil.copytree(source, tmp_path / "source")
    return tmp_path / "source"


def take(source: Path, at: datetime, out: Path, base: Path | None = None, seed: int = 0) -> Snapshot:
    out.mkdir()
    snapshots.take_snapshot(Request(str(source), at, str(base) if base else None, seed), out)
    return snapshots.read_snapshot(out)


def test_days_after_the_as_of_are_not_even_copied_and_the_others_are_verbatim(source: Path, tmp_path: Path) -> None:
    snapshot = take(source, datetime(2026, 1, 10, 6, tzinfo=UTC), tmp_path / "snapshot")
    days = sorted(path.stem for path in (snapshot.folder / "points").iterdir())
    assert (days[0], days[-1]) == ("2026-01-05", "2026-01-10")
    for name, digest in read_json(snapshot.folder / "snapshot.json")["files"].items():
        assert sha256(snapshot.folder / name) == digest
        if name not in ("calendar.csv", "masks.csv"):
            assert sha256(source / name) == digest


def test_a_day_later_the_days_before_are_the_same_bytes(source: Path, tmp_path: Path) -> None:
    first, second = (take(source, END - timedelta(days=n), tmp_path / f"{n}").folder for n in (1, 0))
    for path in (first / "points").iterdir():
        assert path.read_bytes() == (second / "points" / path.name).read_bytes()


def test_points_of_the_as_ofs_own_day_that_came_later_are_not_used(source: Path, tmp_path: Path) -> None:
    at = datetime(2026, 1, 10, 6, tzinfo=UTC)
    snapshot = take(source, at, tmp_path / "snapshot")
    times, values = load_matrix(snapshot.folder, list(read_series(snapshot.folder)), snapshot.as_of)
    assert times[-1] == at.timestamp() - 900
    assert np.isfinite(values[-1]).all()
    assert load_points(snapshot.folder, snapshot.as_of)["time"].max() == at - timedelta(minutes=15)
    assert load_points(snapshot.folder)["time"].max() > at  # type: ignore[operator]


def test_points_that_were_delivered_late_are_missing_until_then(source: Path, tmp_path: Path) -> None:
    late = next(
        one for one in read_json(source.parent / "outage.truth/truth.json")["incidents"] if one["kind"] == "late"
    )
    start, end = (datetime.fromisoformat(late[name]) for name in ("start", "end"))
    ids = [f"{late['region']}/home/requests"]
    for hours, found in ((6, 0), (40, 16)):
        snapshot = take(source, end + hours * HOUR, tmp_path / f"{hours}")
        times, values = load_matrix(snapshot.folder, ids, snapshot.as_of)
        here = (times >= start.timestamp()) & (times < end.timestamp())
        assert np.isfinite(values[here]).sum() == found


def test_companions_hold_only_what_was_known(source: Path, tmp_path: Path) -> None:
    mask = min(read_masks(source), key=lambda one: one.known_since)
    early = take(source, mask.known_since - HOUR, tmp_path / "early")
    then = take(source, mask.known_since, tmp_path / "then")
    assert read_masks(early.folder) == ()
    assert read_masks(then.folder) == (mask,)
    assert early.masks != then.masks == companion_id([mask])
    calendar = read_calendar(then.folder)
    assert calendar == tuple(one for one in read_calendar(source) if one.known_since <= then.as_of)
    assert then.calendar == companion_id(calendar)
    assert as_of(calendar, then.as_of) == as_of(read_calendar(source), then.as_of)


def test_a_calendar_known_whole_is_verbatim(source: Path, tmp_path: Path) -> None:
    snapshot = take(source, END, tmp_path / "snapshot")
    assert (snapshot.folder / "calendar.csv").read_bytes() == (source / "calendar.csv").read_bytes()


def test_companions_may_be_absent(own: Path, tmp_path: Path) -> None:
    for name in ("calendar.csv", "masks.csv"):
        (own / name).unlink()
    snapshot = take(own, END, tmp_path / "snapshot")
    assert read_calendar(snapshot.folder) == read_masks(snapshot.folder) == ()
    assert snapshot.calendar == snapshot.masks == companion_id([])


def test_the_request_is_told(source: Path, tmp_path: Path) -> None:
    snapshot = take(source, END.astimezone(tz=None), tmp_path / "snapshot", seed=7)
    assert (snapshot.as_of, snapshot.seed, snapshot.base) == (END, 7, None)
    assert read_json(snapshot.folder / "snapshot.json")["base"] is False


def test_a_base_bundle_is_carried_whole(source: Path, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    (bundle / "deep").mkdir(parents=True)
    (bundle / "manifest.json").write_text("{}")
    (bundle / "deep/model.json").write_text("1")
    snapshot = take(source, END, tmp_path / "snapshot", bundle)
    assert snapshot.base == snapshot.folder / "base"
    assert (snapshot.folder / "base/deep/model.json").read_text() == "1"
    with pytest.raises(UsageError, match="no bundle in"):
        take(source, END, tmp_path / "other", tmp_path)


def test_files_of_other_things_are_left_alone(own: Path, tmp_path: Path) -> None:
    (own / "notes").mkdir()
    (own / "notes/2026-01-05.parquet").write_bytes(b"x")
    (own / "points/.tmp-1.parquet").write_bytes(b"x")
    (own / "readme.csv").write_text("x")
    snapshot = take(own, END, tmp_path / "snapshot")
    assert sorted(path.name for path in snapshot.folder.iterdir()) == [
        "calendar.csv",
        "masks.csv",
        "points",
        "series.csv",
        "snapshot.json",
    ]


def test_an_instant_before_the_first_point_is_refused(source: Path, tmp_path: Path) -> None:
    for n, at in enumerate((datetime(2025, 12, 1, tzinfo=UTC), datetime(2026, 1, 5, 0, 14, tzinfo=UTC))):
        with pytest.raises(DataRefused, match="no point that was known at"):
            take(source, at, tmp_path / f"{n}")
    assert take(source, datetime(2026, 1, 5, 0, 15, tzinfo=UTC), tmp_path / "first")


def test_a_source_that_lists_no_series_is_refused(own: Path, tmp_path: Path) -> None:
    (own / "series.csv").unlink()
    with pytest.raises(DataRefused, match=r"no series\.csv in"):
        take(own, END, tmp_path / "snapshot")


def test_a_file_that_breaks_the_schema_is_refused(own: Path, tmp_path: Path) -> None:
    text = (own / "series.csv").read_text().splitlines()
    (own / "series.csv").write_text("\n".join(line for line in text if "eu-central/home" not in line) + "\n")
    with pytest.raises(DataRefused, match=r"2026-01-05\.parquet: the point of eu-central/home/requests .*is not in"):
        take(own, END, tmp_path / "snapshot")


def test_what_is_refused_is_named_as_the_file_of_the_source(own: Path, tmp_path: Path) -> None:
    path = own / "points" / "2026-01-06.parquet"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataRefused, match=f"^{path} is no whole Parquet file: copy or export it again"):
        take(own, END, tmp_path / "truncated")
    path.rename(path.with_name("6.parquet"))
    with pytest.raises(DataRefused, match=f"^{path.with_name('6.parquet')} is not named by its day"):
        take(own, END, tmp_path / "misnamed")
    (own / "series.csv").write_text("series\n")
    path.with_name("6.parquet").unlink()
    with pytest.raises(DataRefused, match=f"^{own / 'series.csv'} has the columns series: give it"):
        take(own, END, tmp_path / "columns")
