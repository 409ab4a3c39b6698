"""The snapshot: what was known at one instant and nothing that came later, verbatim, and who is in which part."""

import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from headgate.domain import Request
from headgate.domains.adclicks.data import snapshots
from headgate.domains.adclicks.data.snapshots import Snapshot
from headgate.errors import DataRefused, UsageError
from headgate.files import read_json, sha256

Written = Callable[..., Path]

LEARNERS, JUDGES = {"fit", "stop", "tune"}, {"certify", "test"}


def take(source: Path, as_of: datetime, out: Path, base: Path | None = None) -> Snapshot:
    out.mkdir()
    snapshots.take_snapshot(Request(str(source), as_of, str(base) if base else None), out)
    return snapshots.read_snapshot(out)


def roles(snapshot: Snapshot) -> pl.DataFrame:
    """Every click that had arrived, with its user's hash and its role."""
    clicks = snapshots.scan_clicks(snapshot.folder / "raw", snapshot.days, snapshot.as_of).collect()
    clicks = clicks.with_columns(user=pl.Series(snapshots.user_hash(clicks["user_id"])))
    return clicks.with_columns(role=snapshots.split(snapshot))


@pytest.fixture(scope="module")
def taken(small: Path, as_of: datetime, tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    return take(small, as_of, tmp_path_factory.mktemp("snapshot") / "today")


@pytest.fixture(scope="module")
def day_before(small: Path, as_of: datetime, tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    return take(small, as_of - timedelta(days=1), tmp_path_factory.mktemp("snapshot") / "yesterday")


# -- what was known ----------------------------------------------------------------------------------------------------


def test_a_click_received_later_does_not_enter(written: Written, tmp_path: Path) -> None:
    as_of = datetime(2026, 3, 10, 12, tzinfo=UTC)
    before, late = as_of - timedelta(days=2), as_of - timedelta(hours=1)
    source = written(
        clicks=[
            {"click_id": "in", "event_time": before},
            {"click_id": "late", "event_time": late, "received_at": as_of + timedelta(seconds=1)},
            {"click_id": "on time", "event_time": late, "received_at": as_of - timedelta(seconds=1)},
        ]
    )
    known = roles(take(source, as_of, tmp_path / "snapshot"))
    assert set(known["click_id"]) == {"in", "on time"}


def test_a_label_counts_from_the_instant_it_is_known_until_it_is_taken_back(written: Written, tmp_path: Path) -> None:
    as_of = datetime(2026, 3, 10, 12, tzinfo=UTC)
    clicked, early, late = as_of - timedelta(days=3), as_of - timedelta(hours=1), as_of + timedelta(hours=1)

    def purchase(click: str, known: datetime) -> dict[str, object]:
        common = {"purchased_at": clicked, "amount": 9.0}
        return {"purchase_id": f"p {click}", "click_id": click, "known_at": known} | common

    def refund(click: str, known: datetime) -> dict[str, object]:
        return {"refund_id": f"r {click}", "purchase_id": f"p {click}", "known_at": known, "amount": 9.0}

    source = written(
        clicks=[{"event_time": clicked}],
        purchases=[purchase("kept", early), purchase("later", late)]
        + [purchase(name, early) for name in ("returned", "returned later")],
        refunds=[refund("returned", early), refund("returned later", late)],
    )
    taken = take(source, as_of, tmp_path / "snapshot")
    known = snapshots.purchasing(taken.folder / "raw", taken.as_of)
    assert set(known["click_id"]) == {"kept", "returned later"}
    assert known["hours"].to_list() == pytest.approx([71.0, 71.0])


def test_days_after_the_as_of_are_not_even_copied(day_before: Snapshot, small: Path) -> None:
    copied = {path.relative_to(day_before.folder / "raw").as_posix() for path in day_before.folder.rglob("*.parquet")}
    assert "clicks/2026-01-21.parquet" in copied
    assert not any(name.endswith(f"2026-01-{day}.parquet") for name in copied for day in (22, 23, 24))
    assert (small / "purchases" / "2026-01-24.parquet").is_file()


def test_files_are_verbatim_and_told_by_their_sums(taken: Snapshot, small: Path) -> None:
    files = read_json(taken.folder / "snapshot.json")["files"]
    copied = {path.relative_to(taken.folder / "raw").as_posix() for path in taken.folder.rglob("*.parquet")}
    assert copied == set(files)
    assert {name.partition("/")[0] for name in files} == {"clicks", "purchases", "refunds"}
    for name, digest in files.items():
        assert sha256(small / name) == digest == sha256(taken.folder / "raw" / name)


def test_folders_of_other_things_are_left_alone(written: Written, tmp_path: Path) -> None:
    as_of = datetime(2026, 3, 10, tzinfo=UTC)
    source = written(clicks=[{"event_time": as_of - timedelta(days=2)}])
    (source / "models").mkdir()
    (source / "models" / "weights.parquet").write_bytes(b"no clicks")
    (source / "notes.parquet").write_bytes(b"no table")
    take(source, as_of, tmp_path / "snapshot")
    assert [path.name for path in (tmp_path / "snapshot" / "raw").iterdir()] == ["clicks"]


# -- who is in which part ----------------------------------------------------------------------------------------------


def test_a_user_keeps_its_group_for_ever(taken: Snapshot, day_before: Snapshot) -> None:
    seen: dict[str, set[str]] = {}
    for snapshot in (taken, day_before):
        for user, role in roles(snapshot).select("user_id", "role").drop_nulls().unique().rows():
            seen.setdefault(user, set()).add(role)
    assert {role for held in seen.values() for role in held} == LEARNERS | JUDGES
    for held in seen.values():
        assert held <= LEARNERS or held in ({"certify"}, {"test"})
        assert not {"fit", "stop"} <= held
    both = roles(taken).join(roles(day_before), on="click_id", suffix="_before")
    assert (both["user"] == both["user_before"]).all()


def test_the_newest_clicks_judge_and_older_ones_teach(taken: Snapshot) -> None:
    frame = roles(taken)
    spans = {
        "fit": (taken.start, taken.tune_from),
        "stop": (taken.tune_from, taken.certify_from),
        "tune": (taken.tune_from, taken.certify_from),
        "certify": (taken.certify_from, taken.mature_until),
        "test": (taken.certify_from, taken.mature_until),
    }
    for role, (start, end) in spans.items():
        when = frame.filter(pl.col("role") == role)["received_at"]
        assert len(when)
        assert when.is_between(start, end, closed="left").all(), role
    young = frame.filter(pl.col("received_at") >= taken.as_of - timedelta(hours=24))
    assert len(young)
    assert young["role"].is_null().all()


def test_boundaries_part_the_mature_clicks_by_count(taken: Snapshot) -> None:
    frame = roles(taken).filter(pl.col("received_at").is_between(taken.start, taken.mature_until, closed="left"))
    older = float((frame["received_at"] < taken.tune_from).mean())  # type: ignore[arg-type]
    newer = float((frame["received_at"] < taken.certify_from).mean())  # type: ignore[arg-type]
    assert older == pytest.approx(9 / 14, abs=1e-3)
    assert newer == pytest.approx(11 / 14, abs=1e-3)


def test_bursts_do_not_move_the_boundaries_by_time(written: Written, tmp_path: Path) -> None:
    """Of 140 clicks the last 100 come within 20 seconds: by count, fitting and tuning end in them."""
    as_of = datetime(2026, 3, 20, tzinfo=UTC)
    burst = as_of - timedelta(days=5)
    thin = [{"event_time": as_of - timedelta(days=15, hours=-8 * n)} for n in range(40)]
    thick = [{"event_time": burst + timedelta(seconds=n // 5)} for n in range(100)]
    taken = take(written(clicks=thin + thick), as_of, tmp_path / "snapshot")
    assert burst < taken.tune_from < taken.certify_from < burst + timedelta(seconds=20)


def test_a_hash_is_the_users_own_and_evenly_spread() -> None:
    users = pl.Series([f"user {n}" for n in range(4_000)])
    hashes = snapshots.user_hash(users)
    assert np.array_equal(snapshots.user_hash(users.reverse())[::-1], hashes)
    # With another hash, users that a champion learned from would judge the next one.
    assert snapshots.user_hash(pl.Series(["user 0"])).tolist() == [14511608045090909201]
    shares = np.histogram(hashes / 2.0**64, bins=10, range=(0, 1))[0]
    assert np.abs(shares - 400).max() < 100


# -- the base, and sources that lack something -------------------------------------------------------------------------


def test_a_base_bundle_is_carried_whole(small: Path, as_of: datetime, tmp_path: Path) -> None:
    base = tmp_path / "bundle"
    (base / "baselines").mkdir(parents=True)
    for name in ("manifest.json", "model.onnx", "baselines/rule.json"):
        (base / name).write_text(name)
    taken = take(small, as_of, tmp_path / "snapshot", base)
    shutil.rmtree(base)
    assert taken.base is not None
    assert (taken.base / "baselines" / "rule.json").read_text() == "baselines/rule.json"


def test_without_a_base_none_is_told(taken: Snapshot) -> None:
    assert taken.base is None


def test_a_base_that_is_no_bundle_is_a_usage_error(small: Path, as_of: datetime, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no bundle in"):
        take(small, as_of, tmp_path / "snapshot", tmp_path)


def test_a_source_without_purchases_has_clicks_and_no_labels(written: Written, tmp_path: Path) -> None:
    as_of = datetime(2026, 3, 10, tzinfo=UTC)
    source = written(clicks=[{"event_time": as_of - timedelta(days=2)}])
    taken = take(source, as_of, tmp_path / "snapshot")
    assert snapshots.purchasing(taken.folder / "raw", as_of).is_empty()
    assert len(roles(taken)) == 1


def test_missing_days_are_no_obstacle(small: Path, as_of: datetime, doctored: Callable, tmp_path: Path) -> None:
    source = doctored(small, {"clicks/2026-01-14.parquet": None, "purchases/2026-01-15.parquet": None})
    taken = take(source, as_of, tmp_path / "snapshot")
    assert datetime(2026, 1, 14).date() not in taken.days
    assert len(taken.days) == 16


@pytest.mark.parametrize("days_off", [-40, 60])
def test_an_as_of_without_clicks_is_refused_and_says_which_days_were_looked_for(
    small: Path, as_of: datetime, tmp_path: Path, days_off: int
) -> None:
    wanted = as_of + timedelta(days=days_off)
    with pytest.raises(DataRefused, match=f"to {wanted.date()}: check --source and --as-of"):
        take(small, wanted, tmp_path / "snapshot")


def test_clicks_that_are_all_too_young_are_refused(written: Written, tmp_path: Path) -> None:
    as_of = datetime(2026, 3, 10, tzinfo=UTC)
    source = written(clicks=[{"event_time": as_of - timedelta(hours=3)}])
    with pytest.raises(DataRefused, match="labels mature a day after a click"):
        take(source, as_of, tmp_path / "snapshot")


def test_an_empty_source_is_refused(tmp_path: Path, as_of: datetime) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataRefused, match="has no clicks from"):
        take(tmp_path / "empty", as_of, tmp_path / "snapshot")


def test_a_file_that_breaks_the_schema_is_refused(
    small: Path, as_of: datetime, doctored: Callable, tmp_path: Path
) -> None:
    source = doctored(
        small, {"clicks/2026-01-14.parquet": lambda day: day.with_columns(user_id=pl.col("user_id").shift())}
    )
    with pytest.raises(DataRefused, match=r"2026-01-14\.parquet: column user_id is null in 1 rows"):
        take(source, as_of, tmp_path / "snapshot")


def test_what_is_refused_is_named_as_the_file_of_the_source(
    small: Path, as_of: datetime, doctored: Callable, tmp_path: Path
) -> None:
    source = doctored(small, {})
    path = source / "clicks" / "2026-01-14.parquet"
    whole = path.read_bytes()
    path.unlink()  # it is a link to the shared one
    path.write_bytes(whole[:-100])
    with pytest.raises(DataRefused, match=f"^{path} is no whole Parquet file: copy or export it again"):
        take(source, as_of, tmp_path / "truncated")
    path.rename(path.with_name("14.parquet"))
    with pytest.raises(DataRefused, match=f"^{path.with_name('14.parquet')} is not named by its day"):
        take(source, as_of, tmp_path / "misnamed")
