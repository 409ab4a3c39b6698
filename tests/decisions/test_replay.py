"""Replay: past events decided again, and only what differs from the decision that holds is published."""

import asyncio
import json
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import boto3
import hypothesis.strategies as st
import numpy as np
import polars as pl
import pytest
import typer
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from moto.s3.models import s3_backends
from typer.testing import CliRunner
from werkzeug.serving import make_server

from headgate import settings as settings_module
from headgate.commands.replay import replay as command
from headgate.decisions import corrections, reading
from headgate.decisions.corrections import CORRECTION
from headgate.decisions.layout import claim, corrections_folder, log_folder, part_name
from headgate.decisions.reading import effective, parts, schema
from headgate.decisions.replay import Asked, replay_decisions, run
from headgate.decisions.rulings import rule
from headgate.domain import live_of
from headgate.domains.adclicks.features.click import Click
from headgate.domains.adclicks.features.kernel import FEATURES
from headgate.domains.adclicks.features.memory_counters import MemoryCounters
from headgate.domains.adclicks.features.windows import HISTORY
from headgate.domains.capacity.serving.log_rows import LOGGED
from headgate.domains.capacity.serving.redecide import recompute as rebuild_capacity
from headgate.domains.capacity.serving.redecide import redecide as redecide_capacity
from headgate.errors import DataRefused, HeadgateError, UsageError
from headgate.registry import versions
from headgate.registry.changes import Refused
from headgate.registry.ledger import Entry, Ledger
from headgate.settings import Settings

from .. import killing
from ..domains.adclicks.tiny import make_bundle
from .made import make_log, make_rows
from .replaying import END, START, Loaded, again, load, passed

CLICKS_A_MINUTE = FEATURES.index("user_clicks_1m")

#: Versions by number: each is against a click whose user clicked at least so often within the minute before.
AT_LEAST = {1: 6, 2: 3, 3: 1}


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Loaded]:
    """The three versions, from real bundles."""
    folder = tmp_path_factory.mktemp("bundles")
    return {number: load(make_bundle(folder, f"v{number}", 3.0 - at), number) for number, at in AT_LEAST.items()}


@pytest.fixture
def home(tmp_path: Path, loaded: dict[int, Loaded]) -> Settings:
    """A state folder of its own, whose ledger lets the three versions serve."""
    return passed(tmp_path / "state", loaded)


def logged(here: Settings) -> pl.DataFrame:
    return pl.concat([rows for _, rows in parts(here, "adclicks")])


def holds(here: Settings) -> dict[str, bool]:
    """The effective decision of everything in the log."""
    told = pl.concat([effective(here, "adclicks", rows, part) for part, rows in parts(here, "adclicks")])
    return dict(told.select("decision_id", "against").iter_rows())


def decides(number: int, rows: pl.DataFrame) -> dict[str, bool]:
    """What a version decides on the vectors of the log."""
    clicks = rows["features"].to_numpy()[:, CLICKS_A_MINUTE]
    return dict(zip(rows["decision_id"], (clicks >= AT_LEAST[number]).tolist(), strict=True))


def published(here: Settings) -> dict[str, pl.DataFrame]:
    """Every file of corrections, by its name."""
    home = corrections_folder(here, "adclicks")
    return {
        path.relative_to(home).as_posix(): pl.read_parquet(path) for path in sorted(home.glob("[!r]*/*.parquet"))
    }  # all but rulings


def replayed(here: Settings) -> list[Entry]:
    return [entry for entry in Ledger(here).entries("adclicks") if entry.what == "replayed"]


def write_part(here: Settings, rows: pl.DataFrame, worker: str = "worker-1-0000000000") -> str:
    rows = rows.sort("decided_at")
    name = part_name(worker, rows["decided_at"][0])
    claim(log_folder(here, "adclicks"))
    folder = log_folder(here, "adclicks") / f"{rows['decided_at'][0]:%Y-%m-%d}"
    folder.mkdir(parents=True, exist_ok=True)
    rows.cast(schema("adclicks")).write_parquet(folder / f"{name}.parquet")
    return name


# ------------------------------------------------------------------------------------------- what is published


def test_exactly_what_differs_is_published_part_by_part(home: Settings, loaded: dict[int, Loaded]) -> None:
    names = make_log(home, 500, part=100)
    rows = logged(home)
    was, wanted = holds(home), decides(2, rows)
    done = again(home, loaded[2])
    files = published(home)
    assert sorted(files) == sorted(f"{done.replay}/{name}.parquet" for name in names)
    told = pl.concat(files.values())
    assert told.schema == pl.Schema(CORRECTION)
    assert dict(told.select("decision_id", "against").iter_rows()) == {i: v for i, v in wanted.items() if v != was[i]}
    assert dict(told.select("decision_id", "before").iter_rows()) == {i: was[i] for i in told["decision_id"]}
    assert set(told.select("version", "bundle", "mode").iter_rows()) == {(2, loaded[2].version.bundle, "logged")}
    assert set(told["slice"]) <= {"mobile", "desktop", "tablet", "other"}
    assert (done.newly_against, done.newly_not) == (told["against"].sum(), (~told["against"]).sum())
    assert done.decisions == 500
    assert holds(home) == wanted


def test_the_same_replay_again_publishes_nothing_and_the_ledger_tells_it_once(
    home: Settings, loaded: dict[int, Loaded]
) -> None:
    make_log(home, 300, part=100)
    first = again(home, loaded[2], reason="version 1 was bad")
    files = published(home)
    second = again(home, loaded[2], reason="version 1 was bad")
    assert (second.newly_against, second.newly_not, second.published) == (0, 0, first.published)
    assert {name: rows.rows() for name, rows in published(home).items()} == {n: r.rows() for n, r in files.items()}
    (entry,) = replayed(home)
    assert (entry.who, entry.why, entry.to_version, entry.bundle) == (
        "me",
        "version 1 was bad",
        2,
        first_bundle(loaded),
    )
    assert entry.details["replay"] == first.replay == second.replay
    assert entry.details["published"] == first.newly_against + first.newly_not
    assert (entry.details["from"], entry.details["to"]) == (START.isoformat(), END.isoformat())


def first_bundle(loaded: dict[int, Loaded]) -> str:
    return loaded[2].version.bundle


def test_a_replay_after_another_publishes_again_what_that_one_changed(
    home: Settings, loaded: dict[int, Loaded]
) -> None:
    make_log(home, 300, part=100)
    rows = logged(home)
    first = again(home, loaded[2])
    again(home, loaded[1])
    third = again(home, loaded[2])
    assert third.replay == first.replay
    moved = [one for one, v in decides(2, rows).items() if v != decides(1, rows)[one]]
    assert third.newly_against + third.newly_not == len(moved) > 0
    assert holds(home) == decides(2, rows)
    assert [entry.to_version for entry in replayed(home)] == [2, 1, 2]  # the champions' changes and back again


def test_only_the_asked_time_is_decided(home: Settings, loaded: dict[int, Loaded]) -> None:
    make_log(home, 400, part=100)
    rows, was = logged(home), holds(home)
    since, until = START + timedelta(hours=2), START + timedelta(hours=7, minutes=3)
    done = again(home, loaded[3], since, until)
    inside = rows.filter(pl.col("decided_at").is_between(since, until, closed="left"))
    assert done.decisions == len(inside) < 400
    assert holds(home) == was | decides(3, inside)


def test_a_time_of_which_the_log_has_nothing_is_refused_and_told_to_nobody(
    home: Settings, loaded: dict[int, Loaded]
) -> None:
    make_log(home, 100, part=100)
    with pytest.raises(DataRefused, match="has nothing from 2001-01-01 00:00 to 2001-01-02 00:00"):
        again(home, loaded[2], datetime(2001, 1, 1, tzinfo=UTC), datetime(2001, 1, 2, tzinfo=UTC))
    assert replayed(home) == []
    assert again(home, loaded[2], pending=True).decisions == 0, "nothing is pending, and that is well"


def test_a_persons_ruling_is_never_overturned(home: Settings, loaded: dict[int, Loaded]) -> None:
    make_log(home, 200, part=100)
    rows = logged(home)
    wanted = decides(2, rows)
    ruled = {one: not value for one, value in list(wanted.items())[50:60]}
    for value in (True, False):
        called = [one for one, ruling in ruled.items() if ruling is value]
        rule(home, "adclicks", called, against=value, who="ann", why="I called them")
    done = again(home, loaded[2])
    assert done.ruled == 10
    assert holds(home) == wanted | ruled
    assert not set(ruled) & {one for rows in published(home).values() for one in rows["decision_id"]}
    assert "10 a person has ruled on; they stay." in done.words()


def test_a_newer_ruling_replaces_an_older_one(home: Settings) -> None:
    make_log(home, 10)
    one = logged(home)["decision_id"][0]
    for value in (True, False, True, False):
        rule(home, "adclicks", [one], against=value, who="ann", why="thought again")
        assert holds(home)[one] is value


def test_pending_decides_only_what_was_answered_by_default(home: Settings, loaded: dict[int, Loaded]) -> None:
    rows = make_rows(100, against=0.0)
    default = pl.int_range(pl.len()) % 4 == 0
    write_part(home, rows.with_columns(role=pl.when(default).then(pl.lit("default")).otherwise("role")))
    before = logged(home)
    done = again(home, loaded[3], pending=True)
    assert done.decisions == 25
    assert holds(home) == dict.fromkeys(before["decision_id"], False) | decides(3, before.gather_every(4))
    assert again(home, loaded[3]).replay != done.replay


def test_a_row_without_a_vector_stays_and_is_told(home: Settings, loaded: dict[int, Loaded]) -> None:
    blind = pl.int_range(pl.len()) % 5 == 2
    rows = make_rows(50, against=0.0).with_columns(features=pl.when(~blind).then("features"))
    write_part(home, rows)
    done = again(home, loaded[3])
    assert (done.decisions, done.undecided) == (40, 10)
    seen = rows.filter(pl.col("features").is_not_null())
    assert holds(home) == dict.fromkeys(rows["decision_id"], False) | decides(3, seen)
    assert "10 hold nothing to decide by" in done.words()


def test_a_clock_that_was_set_back_orders_nothing_anew(
    home: Settings, loaded: dict[int, Loaded], monkeypatch: pytest.MonkeyPatch
) -> None:
    make_log(home, 50)
    again(home, loaded[3])

    class Yesterday(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return datetime.now(tz) - timedelta(days=1)

    monkeypatch.setattr(corrections, "datetime", Yesterday)
    again(home, loaded[1])
    assert holds(home) == decides(1, logged(home))


# ------------------------------------------------------------------------------------------------------ dry runs


def test_a_dry_run_says_by_slice_what_a_replay_then_does_and_writes_nothing(
    home: Settings, loaded: dict[int, Loaded]
) -> None:
    make_log(home, 600, part=200)
    before = sorted(path for path in home.home.rglob("*") if path.is_file())
    entries = len(Ledger(home).entries())
    dry = again(home, loaded[2], dry_run=True)
    assert sorted(path for path in home.home.rglob("*") if path.is_file()) == before
    assert len(Ledger(home).entries()) == entries
    done = again(home, loaded[2])
    assert dry.slices == done.slices
    rows = logged(home)
    against, was = pl.Series(decides(2, rows).values()), rows["against"]
    good = live_of("adclicks").watched(rows)["good"].fill_null(False)
    assert 0 < good.sum() < 600
    assert sum(one.decisions for one in dry.slices) == 600
    assert sum(one.newly_against for one in dry.slices) == (against & ~was).sum()
    assert sum(one.newly_not for one in dry.slices) == (~against & was).sum()
    assert sum(one.good for one in dry.slices) == good.sum()
    assert sum(one.good_newly_against for one in dry.slices) == (good & against & ~was).sum()
    assert sum(one.good_newly_not for one in dry.slices) == (good & ~against & was).sum()
    for slice_ in dry.slices:
        assert slice_.decisions == (rows["device"] == slice_.slice).sum()
        assert f"{slice_.slice:<22}" in dry.words()


def test_a_version_that_may_not_serve_corrects_nothing(home: Settings, loaded: dict[int, Loaded]) -> None:
    make_log(home, 20)
    version = replace(loaded[2].version, number=9)
    for other in (version, replace(loaded[2].version, bundle="f" * 64)):
        with pytest.raises(Refused, match=r"may not serve, so it corrects nothing.*--dry-run"):
            run(home, other, loaded[2].predictor, Asked("adclicks", START, END))
        assert run(home, other, loaded[2].predictor, Asked("adclicks", START, END, dry_run=True)).decisions == 20
    assert published(home) == {}


@pytest.mark.parametrize(
    ("since", "until", "how", "words"),
    [
        (END, START, {}, "ends before it begins"),
        (START, START, {}, "ends before it begins"),
        (START, datetime(2999, 1, 1, tzinfo=UTC), {}, "is not over yet"),
        (START, END, {"mode": "guess"}, "choose logged or recompute"),
    ],
)
def test_what_cannot_be_asked_is_named(since: datetime, until: datetime, how: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Asked("adclicks", since, until, **how)


# --------------------------------------------------------------------------------------------- any order of replays

HOURS = st.integers(0, 12)
STEP = st.one_of(
    st.tuples(st.just("replay"), st.sampled_from([1, 2, 3]), HOURS, HOURS),
    st.tuples(st.just("rule"), st.integers(0, 59), st.booleans(), st.just(0)),
)


@hypothesis_settings(max_examples=20)
@given(steps=st.lists(STEP, min_size=1, max_size=8))
def test_after_any_replays_the_last_one_holds_except_where_people_ruled(
    steps: list[tuple[Any, ...]], tmp_path_factory: pytest.TempPathFactory, loaded: dict[int, Loaded]
) -> None:
    here = passed(tmp_path_factory.mktemp("sequence"), loaded)
    make_log(here, 60, part=13)
    rows = logged(here)
    expected, ruled = dict(rows.select("decision_id", "against").iter_rows()), {}
    for what, number, low, high in steps:
        if what == "rule":
            one = rows["decision_id"][number]
            rule(here, "adclicks", [one], against=low, who="ann", why="")
            ruled[one] = low
        elif low != high:
            since, until = (START + timedelta(hours=hour) for hour in sorted((low, high)))
            inside = rows.filter(pl.col("decided_at").is_between(since, until, closed="left"))
            wanted = {one: v for one, v in decides(number, inside).items() if one not in ruled}
            before = {name: rows["decision_id"].to_list() for name, rows in published(here).items()}
            done = again(here, loaded[number], since, until)
            new = [i for name, rows in published(here).items() if name not in before for i in rows["decision_id"]]
            assert sorted(new) == sorted(one for one, value in wanted.items() if value != expected[one])
            assert done.newly_against + done.newly_not == len(new)
            expected |= wanted
            assert again(here, loaded[number], since, until).newly_against == 0
        assert holds(here) == expected | ruled
    assert Ledger(here).verify() > 0


# ------------------------------------------------------------------------------------------------------- kill -9


def contents(here: Settings) -> dict[str, list[Any]]:
    return {name: rows.drop("corrected_at").rows() for name, rows in published(here).items()}


def ledger_of(here: Settings) -> list[Any]:
    return [(entry.what, entry.to_version, entry.bundle, dict(entry.details)) for entry in replayed(here)]


@pytest.fixture
def undisturbed(tmp_path: Path, loaded: dict[int, Loaded]) -> Settings:
    here = passed(tmp_path / "whole", loaded)
    make_log(here, 200, part=50)
    again(here, loaded[2])
    return here


def kill_and_run_again(n: int, folder: Path, loaded: dict[int, Loaded], undisturbed: Settings) -> bool:
    """Whether the replay was killed at its n-th write; run again it ends as if it had not been."""
    here = passed(folder / f"killed-{n}", loaded)
    make_log(here, 200, part=50)
    environment = os.environ | {"HEADGATE_HOME": str(here.home)}
    killed = killing.command(n, "decisions.replaying", "2", loaded[2].version.source, env=environment).killed
    assert not (killed and replayed(here))
    again(here, loaded[2])
    assert contents(here) == contents(undisturbed)
    assert ledger_of(here) == ledger_of(undisturbed)
    assert not list((here.home / "corrections").rglob(".tmp-*"))
    return killed


def test_killed_half_way_and_run_again_is_as_never_killed(
    tmp_path: Path, loaded: dict[int, Loaded], undisturbed: Settings
) -> None:
    assert kill_and_run_again(3, tmp_path, loaded, undisturbed)


@pytest.mark.nightly
def test_killed_at_any_write_and_run_again_is_as_never_killed(
    tmp_path: Path, loaded: dict[int, Loaded], undisturbed: Settings
) -> None:
    n = 1
    while kill_and_run_again(n, tmp_path, loaded, undisturbed):
        n += 1
    assert n > 5  # four parts and the ledger


# --------------------------------------------------------------------------------------------- rebuilt in event time


def clicks(n: int, seed: int = 3) -> pl.DataFrame:
    """Rows of `n` clicks over 40 hours by few users and IPs, in bursts; some are told late, some twice."""
    random = np.random.default_rng(seed)
    at = random.integers(0, 80, n) * 1_800_000_000 + random.integers(0, 60_000_000, n)
    received = START + pl.Series(np.sort(at)).cast(pl.Duration("us"))
    late = pl.Series(np.where(random.random(n) < 0.1, random.integers(0, 7_200_000_000, n), 0)).cast(pl.Duration("us"))
    rows = make_rows(n, seed=seed).with_columns(
        received_at=received,
        decided_at=received + pl.duration(milliseconds=3),
        event_time=received - late,
        user_id=pl.Series([f"u{number}" for number in random.integers(0, 15, n)]),
        ip=pl.Series([f"2001:db8:0:{number}::{n % 7}" for n, number in enumerate(random.integers(0, 9, n))]),
        utc_offset_min=pl.lit(60, pl.Int16),
    )
    twice = rows.sample(n // 20, seed=seed).with_columns(
        pl.col("decision_id") + "-again",
        pl.col("decided_at", "received_at") + pl.duration(minutes=random.integers(1, 600)),
    )
    return pl.concat([rows, twice]).sort("received_at", "click_id")


def served(rows: pl.DataFrame) -> pl.Series:
    """The vectors that the online counters give `rows`, which stand in order of arrival."""
    counters = MemoryCounters()
    names = [name for name in Click.__struct_fields__ if name in rows.columns]
    found = asyncio.run(counters.observe([Click(**row) for row in rows.select(names).iter_rows(named=True)]))
    return pl.Series("features", found.vectors, dtype=pl.Array(pl.Float32, len(FEATURES)))


def test_rebuilt_vectors_are_those_that_were_served_whatever_the_log_says(
    home: Settings, loaded: dict[int, Loaded]
) -> None:
    """The counters served from the first click on; the log's vectors are wrong, and its parts are of two workers."""
    rows = clicks(1500)
    right = rows.with_columns(served(rows))
    wrong = right.with_columns(features=right["features"].reverse(), against=pl.lit(False))
    worker = pl.int_range(pl.len()) % 2
    for number in (0, 1):
        for hour in range(0, 44, 4):
            at = pl.col("decided_at")
            inside = (at >= START + timedelta(hours=hour)) & (at < START + timedelta(hours=hour + 4))
            mine = wrong.filter(inside & (worker == number))
            if len(mine):
                write_part(home, mine, f"worker-{number}-0000000000")
    since, until = START + timedelta(microseconds=HISTORY, hours=1), START + timedelta(hours=39)
    inside = right.filter(pl.col("decided_at").is_between(since, until, closed="left"))
    read = partial(parts, home, "adclicks")
    rebuilt = pl.concat(rows for _, rows in live_of("adclicks").recompute(read, since, until))
    told = ("decision_id", "features")
    assert rebuilt.select(told).sort("decision_id").equals(inside.select(told).sort("decision_id"))
    done = again(home, loaded[2], since, until, mode="recompute")
    assert (done.decisions, done.undecided) == (len(inside), 0)
    everything = dict.fromkeys(right["decision_id"], False)
    assert 0 < sum(decides(2, inside).values()) < len(inside)
    assert holds(home) == everything | decides(2, inside)
    assert again(home, loaded[2], since, until, mode="recompute").newly_against == 0


def test_clicks_that_were_posted_a_day_late_count_where_they_were_received(
    home: Settings, loaded: dict[int, Loaded]
) -> None:
    rows = clicks(600).unique("click_id", keep="first", maintain_order=True)
    right = rows.with_columns(served(rows))
    posted = START + timedelta(days=4)
    late = right.with_columns(
        decided_at=pl.lit(posted) + pl.duration(milliseconds=pl.int_range(pl.len())),
        features=pl.lit(None, right.schema["features"]),
        role=pl.lit("default"),
        against=pl.lit(False),
    )
    write_part(home, late.with_columns(decided_at=pl.col("decided_at").cast(pl.Datetime("us", "UTC"))))
    again(home, loaded[2], posted, posted + timedelta(hours=1), mode="recompute", pending=True)
    assert holds(home) == decides(2, right)


# ------------------------------------------------------------------------------------------------------- delivery


def delivered(out: Path) -> dict[str, bytes]:
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob("*") if path.is_file()}


def test_a_copy_goes_to_a_folder_and_what_is_there_is_not_copied_again(
    home: Settings, loaded: dict[int, Loaded], tmp_path: Path
) -> None:
    make_log(home, 200, part=50)
    out = tmp_path / "out"
    done = again(home, loaded[2], out=str(out))
    assert delivered(out) == delivered(home.home / "corrections")
    assert done.delivered == len(delivered(out)) == 4
    assert again(home, loaded[2], out=str(out)).delivered == 0
    next(out.rglob("*.parquet")).unlink()
    assert again(home, loaded[2], out=str(out)).delivered == 1


def test_a_copy_that_can_go_nowhere_is_refused_before_anything_is_published(
    home: Settings, loaded: dict[int, Loaded], tmp_path: Path
) -> None:
    make_log(home, 20)
    (tmp_path / "file").write_text("")
    for out in (str(tmp_path / "file"), "gs://bucket/p"):
        with pytest.raises(UsageError, match="give --out a folder, or s3://"):
            again(home, loaded[2], out=out)
    assert published(home) == {}


@pytest.fixture(scope="module")
def server() -> Iterator[Any]:
    """moto's S3 over HTTP; it counts the objects that were put."""
    app = DomainDispatcherApplication(create_backend_app)
    puts: list[str] = []

    def counted(environ: dict[str, Any], start: Any) -> Any:
        if environ["REQUEST_METHOD"] == "PUT" and environ["PATH_INFO"].count("/") > 1:
            puts.append(environ["PATH_INFO"])
        return app(environ, start)

    server = make_server("127.0.0.1", 0, counted, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield SimpleNamespace(url=f"http://127.0.0.1:{server.server_port}", puts=puts)
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def store(server: Any, aws: Callable[[str, int], None]) -> Iterator[Any]:
    aws(server.url, 1)
    server.puts.clear()
    boto3.client("s3").create_bucket(Bucket="fixes")
    yield server
    s3_backends[DEFAULT_ACCOUNT_ID]["aws"].reset()


def test_a_copy_goes_to_s3_once(home: Settings, loaded: dict[int, Loaded], store: Any) -> None:
    make_log(home, 200, part=50)
    done = again(home, loaded[2], out="s3://fixes/clicks/")
    client = boto3.client("s3")
    keys = [item["Key"] for item in client.list_objects_v2(Bucket="fixes")["Contents"]]
    there = {key.removeprefix("clicks/"): client.get_object(Bucket="fixes", Key=key)["Body"].read() for key in keys}
    assert there == delivered(home.home / "corrections")
    assert done.delivered == len(store.puts) == 4
    assert again(home, loaded[2], out="s3://fixes/clicks").delivered == 0
    assert len(store.puts) == 4


def test_what_a_store_refuses_is_said_and_the_corrections_hold(
    home: Settings, loaded: dict[int, Loaded], store: Any
) -> None:
    make_log(home, 20)
    with pytest.raises(UsageError, match="no bucket for s3://elsewhere"):
        again(home, loaded[2], out="s3://elsewhere/p")
    assert published(home) == {}
    rule = {"Effect": "Deny", "Principal": "*", "Action": "s3:PutObject", "Resource": "arn:aws:s3:::fixes/*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [rule]})
    boto3.client("s3").put_bucket_policy(Bucket="fixes", Policy=policy)
    with pytest.raises(HeadgateError, match="allow s3:PutObject"):
        again(home, loaded[2], out="s3://fixes/p")
    assert holds(home) == decides(2, logged(home))


# ------------------------------------------------------------------------------------------------------- capacity


def test_an_actual_is_held_against_the_other_versions_band() -> None:
    """A version whose band is 90 … 110 for `a`, from one hour on; of `b` it knows nothing."""
    hour = START + timedelta(hours=1)

    def forecast(series: str, start: datetime, end: datetime, *, step: int, levels: Any) -> Any:
        if series != "a":
            raise UsageError(f"no series {series}")
        assert start >= hour
        times = np.arange(int(start.timestamp()), int(end.timestamp()), step)
        return SimpleNamespace(
            times=times, quantiles={0.05: np.full(len(times), 90.0), 0.95: np.full(len(times), 110.0)}
        )

    told = [
        ("actual", "a", hour, 100.0, True, False),
        ("forecast", "a", None, None, False, False),
        ("actual", "b", hour, 100.0, True, None),
        ("actual", "a", hour + timedelta(minutes=2), 111.0, False, True),
        ("actual", "a", hour + timedelta(minutes=1), 89.0, True, True),
        ("actual", "a", hour, None, False, None),
    ]
    columns = ("kind", "series", "time", "actual", "against", "expected")
    types = {**LOGGED, "against": pl.Boolean, "expected": pl.Boolean}
    rows = pl.DataFrame(told, schema={name: types[name] for name in columns}, orient="row")
    rows = rows.with_columns(step=pl.lit(60, pl.Int32), slice=pl.lit("no event"))
    decided = redecide_capacity(cast(Any, SimpleNamespace(forecast=forecast)), rows)
    assert decided["against"].to_list() == rows["expected"].to_list()
    assert decided["slice"].to_list() == ["no event"] * 6


def test_capacity_has_nothing_to_rebuild() -> None:
    with pytest.raises(UsageError, match="--mode logged"):
        rebuild_capacity(lambda since, until: iter(()), START, END)


# ------------------------------------------------------------------------------------------------ the command line


def test_the_command_answers_in_words_and_in_json(
    home: Settings, loaded: dict[int, Loaded], monkeypatch: pytest.MonkeyPatch
) -> None:
    make_log(home, 100)
    one = loaded[2]
    monkeypatch.setattr(settings_module, "load", lambda: home)
    monkeypatch.setattr(versions, "wanted", lambda here, domain, name: one.version)
    monkeypatch.setattr(versions, "fetch", lambda version, here: Path(version.source))
    app = typer.Typer()
    app.command()(command)
    asked = ["adclicks", "--from", "2026-01-05", "--to", "2026-01-05T12:00", "--with", "champion"]
    dry = json.loads(CliRunner().invoke(app, [*asked, "--dry-run", "--json"]).stdout)
    assert dry["decisions"] == 100
    assert dry["dry_run"] is True
    said = CliRunner().invoke(app, [*asked, "--reason", "a bad day"]).stdout
    changed = dry["newly_against"] + dry["newly_not"]
    assert f"{dry['newly_against']:,} are now invalid, {dry['newly_not']:,} are no longer" in said
    (entry,) = replayed(home)
    assert (entry.why, entry.details["published"]) == ("a bad day", changed)
    assert "0 are now invalid" in CliRunner().invoke(app, asked).stdout
    pending = json.loads(CliRunner().invoke(app, [*asked, "--dry-run", "--json", "--pending"]).stdout)
    assert (dry["mode"], pending["mode"]) == ("logged", "recompute"), "what was answered by default has no vector"


def test_replay_loads_the_version_only_where_it_may_serve(
    home: Settings, loaded: dict[int, Loaded], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(versions, "wanted", lambda *_: replace(loaded[2].version, number=9))
    with pytest.raises(Refused):
        replay_decisions(home, "9", Asked("adclicks", START, END))


def test_rows_that_the_log_lost_are_told(
    home: Settings, loaded: dict[int, Loaded], monkeypatch: pytest.MonkeyPatch
) -> None:
    make_log(home, 20)
    gap = reading.Gap("part", START, END, 7)
    monkeypatch.setattr(reading, "gaps", lambda *_: [gap])
    assert "7 were lost as they were logged" in again(home, loaded[2]).words()
