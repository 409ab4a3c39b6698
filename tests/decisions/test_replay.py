"""Replay: past events decided again, and only what differs from the decision that holds is published."""

import json
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import hypothesis.strategies as st
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

from headgate.commands import replay
from headgate.contract.live import Part, Read
from headgate.decisions import corrections
from headgate.decisions.corrections import columns
from headgate.decisions.layout import corrections_folder, gaps_file
from headgate.decisions.reading import effective, parts
from headgate.decisions.replay import Asked, replay_decisions, run
from headgate.decisions.rulings import rule
from headgate.domain import Domain
from headgate.errors import DataRefused, HeadgateError, UsageError
from headgate.files import write_json
from headgate.registry.changes import Refused
from headgate.registry.ledger import Entry, Ledger
from headgate.settings import Settings

from .. import killing
from ..registry.conftest import Registry, registry
from ..toy import ROOMS
from .bundles import make_bundle, register
from .made import LOG, SLICES, make_log, make_rows, write_part
from .replaying import END, START, Loaded, again, load, passed

__all__ = ["registry"]

#: Versions by number: how many degrees off is too cold or too hot to each.
WIDTHS = {1: 8.0, 2: 5.0, 3: 2.0}

#: What stands for adverse in these tests as in the toy.
ADVERSE = ("cold", "hot")


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Loaded]:
    """The three versions, from real bundles."""
    folder = tmp_path_factory.mktemp("bundles")
    return {number: load(ROOMS, make_bundle(folder, width), number) for number, width in WIDTHS.items()}


@pytest.fixture
def home(tmp_path: Path, loaded: dict[int, Loaded]) -> Settings:
    """A state folder of its own, whose ledger lets the three versions serve."""
    return passed(tmp_path / "state", loaded)


def logged(here: Settings) -> pl.DataFrame:
    return pl.concat([rows for _, rows in parts(here, LOG)])


def holds(here: Settings) -> dict[str, str]:
    """The effective decision of everything in the log."""
    told = pl.concat([effective(here, LOG, rows, part) for part, rows in parts(here, LOG)])
    return dict(told.select("decision_id", "outcome").iter_rows())


def decides(number: int, rows: pl.DataFrame) -> dict[str, str]:
    """What a version decides on what is logged."""
    off, width = pl.col("degrees") - 20, WIDTHS[number]
    outcome = pl.when(off < -width).then(pl.lit("cold")).when(off > width).then(pl.lit("hot")).otherwise(pl.lit("fine"))
    return dict(rows.select("decision_id", outcome).iter_rows())


def published(here: Settings) -> dict[str, pl.DataFrame]:
    """Every file of corrections, by its name."""
    home = corrections_folder(here, "rooms")
    return {
        path.relative_to(home).as_posix(): pl.read_parquet(path) for path in sorted(home.glob("[!r]*/*.parquet"))
    }  # all but rulings


def replayed(here: Settings) -> list[Entry]:
    return [entry for entry in Ledger(here).entries("rooms") if entry.what == "replayed"]


# ------------------------------------------------------------------------------------------- what is published


def test_exactly_what_differs_is_published_part_by_part(home: Settings, loaded: dict[int, Loaded]) -> None:
    names = make_log(home, 500, part=100)
    rows = logged(home)
    was, wanted = holds(home), decides(2, rows)
    done = again(home, loaded[2])
    files = published(home)
    assert sorted(files) == sorted(f"{done.replay}/{name}.parquet" for name in names)
    told = pl.concat(files.values())
    assert told.schema == pl.Schema(columns(LOG))
    assert dict(told.select("decision_id", "outcome").iter_rows()) == {i: v for i, v in wanted.items() if v != was[i]}
    assert dict(told.select("decision_id", "before").iter_rows()) == {i: was[i] for i in told["decision_id"]}
    assert set(told.select("version", "bundle", "mode").iter_rows()) == {(2, loaded[2].version.bundle, "logged")}
    assert set(told["slice"]) == set(SLICES)
    now, before = (told[name].is_in(ADVERSE) for name in ("outcome", "before"))
    assert done.newly_adverse == (now & ~before).sum() > 0
    assert done.newly_not == (~now & before).sum() > 0
    assert done.otherwise == (now & before).sum() > 0, "cold where it was hot, or hot where it was cold"
    assert done.decisions == 500
    assert holds(home) == wanted


def test_the_same_replay_again_publishes_nothing_and_the_ledger_tells_it_once(
    home: Settings, loaded: dict[int, Loaded]
) -> None:
    make_log(home, 300, part=100)
    first = again(home, loaded[2], reason="version 1 was bad")
    files = published(home)
    second = again(home, loaded[2], reason="version 1 was bad")
    assert (second.newly_adverse, second.newly_not, second.otherwise) == (0, 0, 0)
    assert second.published == first.published
    assert {name: rows.rows() for name, rows in published(home).items()} == {n: r.rows() for n, r in files.items()}
    (entry,) = replayed(home)
    assert (entry.who, entry.why, entry.to_version, entry.bundle) == (
        "me",
        "version 1 was bad",
        2,
        first_bundle(loaded),
    )
    assert entry.details["replay"] == first.replay == second.replay
    assert entry.details["published"] == first.newly_adverse + first.newly_not + first.otherwise
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
    assert third.newly_adverse + third.newly_not + third.otherwise == len(moved) > 0
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
    ruled = {one: "hot" if value == "cold" else "cold" for one, value in list(wanted.items())[50:60]}
    for value in ADVERSE:
        called = [one for one, ruling in ruled.items() if ruling == value]
        rule(home, ROOMS, called, outcome=value, who="ann", why="I called them")
    done = again(home, loaded[2])
    assert done.ruled == 10
    assert holds(home) == wanted | ruled
    assert not set(ruled) & {one for rows in published(home).values() for one in rows["decision_id"]}
    assert "10 a person has ruled on; they stay." in done.words()


def test_a_newer_ruling_replaces_an_older_one(home: Settings) -> None:
    make_log(home, 10)
    one = logged(home)["decision_id"][0]
    for value in ("cold", "fine", "hot", "fine"):
        rule(home, ROOMS, [one], outcome=value, who="ann", why="thought again")
        assert holds(home)[one] == value


def test_pending_decides_only_what_was_answered_by_default(home: Settings, loaded: dict[int, Loaded]) -> None:
    rows = make_rows(100, adverse=0.0)
    default = pl.int_range(pl.len()) % 4 == 0
    write_part(home, rows.with_columns(role=pl.when(default).then(pl.lit("default")).otherwise("role")))
    before = logged(home)
    done = again(home, loaded[3], pending=True)
    assert done.decisions == 25
    assert holds(home) == dict.fromkeys(before["decision_id"], "fine") | decides(3, before.gather_every(4))
    assert again(home, loaded[3]).replay != done.replay


def test_what_a_version_cannot_decide_stays_and_is_told(home: Settings, loaded: dict[int, Loaded]) -> None:
    """No version knows the garage."""
    garage = pl.int_range(pl.len()) % 5 == 2
    rows = make_rows(50, adverse=0.0).with_columns(room=pl.when(garage).then(pl.lit("garage")).otherwise("room"))
    write_part(home, rows)
    done = again(home, loaded[3])
    assert (done.decisions, done.undecided) == (40, 10)
    seen = rows.filter(pl.col("room") != "garage")
    assert holds(home) == dict.fromkeys(rows["decision_id"], "fine") | decides(3, seen)
    assert "10 hold nothing to decide by" in done.words()


def test_what_else_the_domain_decides_is_corrected_with_the_outcome(home: Settings, tmp_path: Path) -> None:
    """A version that takes another warmth for usual: its number stands in the corrections, and holds."""
    other = load(ROOMS, make_bundle(tmp_path, 5.0, attic=40.0), 4)
    here = passed(home.home, {4: other})
    write_part(here, make_rows(60, adverse=0.0))
    again(here, other)
    held = pl.concat([effective(here, LOG, rows, part) for part, rows in parts(here, LOG)])
    changed = held.filter(pl.col("replay").is_not_null(), pl.col("slice") == "attic")
    assert changed["usual"].unique().to_list() == [40.0]
    assert held.filter(pl.col("replay").is_null())["usual"].unique().to_list() == [20.0]


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
    now, was = pl.Series(list(decides(2, rows).values())), rows["outcome"]
    adverse, had, good = now.is_in(ADVERSE), was.is_in(ADVERSE), rows["comfortable"].fill_null(False)
    assert 0 < good.sum() < 600
    assert sum(one.decisions for one in dry.slices) == 600
    assert sum(one.newly_adverse for one in dry.slices) == (adverse & ~had).sum()
    assert sum(one.newly_not for one in dry.slices) == (~adverse & had).sum()
    assert sum(one.otherwise for one in dry.slices) == (adverse & had & (now != was)).sum()
    assert sum(one.good for one in dry.slices) == good.sum()
    assert sum(one.good_newly_adverse for one in dry.slices) == (good & adverse & ~had).sum()
    assert sum(one.good_newly_not for one in dry.slices) == (good & ~adverse & had).sum()
    for slice_ in dry.slices:
        assert slice_.decisions == (rows["slice"] == slice_.slice).sum()
        assert f"{slice_.slice:<22}" in dry.words()
    assert f"{dry.newly_adverse:,} would be too cold or too hot, {dry.newly_not:,} would be no longer" in dry.words()
    assert f"{done.newly_adverse:,} are now too cold or too hot, {done.newly_not:,} are no longer" in done.words()
    assert f"{done.otherwise:,} are now decided otherwise, as adverse as before or as little." in done.words()


def test_a_domain_that_watches_nothing_counts_nobody_as_good(home: Settings, loaded: dict[int, Loaded]) -> None:
    make_log(home, 100)
    blind = replace(ROOMS, limits=replace(ROOMS.limits, watch=None))
    done = again(home, replace(loaded[2], domain=blind), dry_run=True)
    assert sum(one.good for one in done.slices) == 0
    assert done.newly_adverse > 0


def test_a_version_that_may_not_serve_corrects_nothing(home: Settings, loaded: dict[int, Loaded]) -> None:
    make_log(home, 20)
    version = replace(loaded[2].version, number=9)
    for other in (version, replace(loaded[2].version, bundle="f" * 64)):
        with pytest.raises(Refused, match=r"may not serve, so it corrects nothing.*--dry-run"):
            run(home, other, loaded[2].predictor, Asked(ROOMS, START, END))
        assert run(home, other, loaded[2].predictor, Asked(ROOMS, START, END, dry_run=True)).decisions == 20
    assert published(home) == {}


@pytest.mark.parametrize(
    ("since", "until", "how", "words"),
    [
        (END, START, {}, "ends before it begins"),
        (START, START, {}, "ends before it begins"),
        (START, datetime(2999, 1, 1, tzinfo=UTC), {}, "is not over yet"),
        (START, END, {"mode": "guess"}, "choose logged or recompute"),
        (START, END, {"mode": "recompute"}, r"^rooms counts nothing that could be rebuilt: use --mode logged\.$"),
    ],
)
def test_what_cannot_be_asked_is_named(since: datetime, until: datetime, how: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Asked(ROOMS, since, until, **how)


def test_a_domain_that_lacks_what_a_replay_needs_is_told_so_in_one_sentence() -> None:
    blind = replace(ROOMS, live=replace(ROOMS.logs, redecide=None))
    with pytest.raises(UsageError, match=r"^rooms logs nothing to decide by, so .* cannot be decided again\.$"):
        Asked(blind, START, END)
    with pytest.raises(UsageError, match=r"^rooms logs no decisions, so there are none to read, .* again\.$"):
        Asked(replace(ROOMS, live=None), START, END)


def rebuilding(domain: Domain) -> Domain:
    """The domain, if it could rebuild its inputs: as if every thermometer had shown two degrees too little."""

    def recompute(read: Read, since: datetime, until: datetime) -> Iterator[Part]:
        for part, rows in read(since, until):
            yield part, rows.with_columns(pl.col("degrees") + 2)

    return replace(domain, live=replace(domain.logs, recompute=recompute))


def test_with_recompute_what_the_domain_rebuilds_is_decided(home: Settings, loaded: dict[int, Loaded]) -> None:
    make_log(home, 200, part=50)
    warmer = logged(home).with_columns(pl.col("degrees") + 2)
    able = replace(loaded[2], domain=rebuilding(ROOMS))
    done = again(home, able, mode="recompute")
    assert (done.mode, done.decisions) == ("recompute", 200)
    assert holds(home) == decides(2, warmer) != decides(2, logged(home))
    assert {mode for rows in published(home).values() for mode in rows["mode"]} == {"recompute"}
    assert again(home, able).replay != done.replay


# --------------------------------------------------------------------------------------------- any order of replays

HOURS = st.integers(0, 12)
STEP = st.one_of(
    st.tuples(st.just("replay"), st.sampled_from([1, 2, 3]), HOURS, HOURS),
    st.tuples(st.just("rule"), st.integers(0, 59), st.sampled_from(["fine", "cold", "hot"]), st.just(0)),
)


@hypothesis_settings(max_examples=20)
@given(steps=st.lists(STEP, min_size=1, max_size=8))
def test_after_any_replays_the_last_one_holds_except_where_people_ruled(
    steps: list[tuple[Any, ...]], tmp_path_factory: pytest.TempPathFactory, loaded: dict[int, Loaded]
) -> None:
    here = passed(tmp_path_factory.mktemp("sequence"), loaded)
    make_log(here, 60, part=13)
    rows = logged(here)
    expected, ruled = dict(rows.select("decision_id", "outcome").iter_rows()), {}
    for what, number, low, high in steps:
        if what == "rule":
            one = rows["decision_id"][number]
            rule(here, ROOMS, [one], outcome=low, who="ann", why="")
            ruled[one] = low
        elif low != high:
            since, until = (START + timedelta(hours=hour) for hour in sorted((low, high)))
            inside = rows.filter(pl.col("decided_at").is_between(since, until, closed="left"))
            wanted = {one: v for one, v in decides(number, inside).items() if one not in ruled}
            before = {name: rows["decision_id"].to_list() for name, rows in published(here).items()}
            done = again(here, loaded[number], since, until)
            new = [i for name, rows in published(here).items() if name not in before for i in rows["decision_id"]]
            assert sorted(new) == sorted(one for one, value in wanted.items() if value != expected[one])
            assert done.newly_adverse + done.newly_not + done.otherwise == len(new)
            expected |= wanted
            assert again(here, loaded[number], since, until).published == done.published
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
    killed = killing.command(n, "tests.decisions.replaying", "2", loaded[2].version.source, env=environment).killed
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


# ------------------------------------------------------------------------------------------------------- delivery


def delivered(out: Path) -> dict[str, bytes]:
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob("*.parquet")}


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


# ------------------------------------------------------------------------------------------------ the command line


@pytest.fixture
def served(registry: Registry) -> Registry:
    """A registry of three versions, the second of which is the champion."""
    for width in WIDTHS.values():
        register(registry, width)
    registry.promote(2)
    return registry


def test_the_command_answers_in_words_and_in_json(served: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    here = served.settings
    make_log(here, 100)
    monkeypatch.setattr("headgate.domain.get_domain", lambda name: rebuilding(ROOMS))
    app = typer.Typer()
    app.command()(replay.replay)
    asked = ["rooms", "--from", "2026-01-05", "--to", "2026-01-05T12:00", "--with", "champion"]
    dry = json.loads(CliRunner().invoke(app, [*asked, "--dry-run", "--json"]).stdout)
    assert (dry["version"], dry["decisions"], dry["dry_run"]) == (2, 100, True)
    said = CliRunner().invoke(app, [*asked, "--reason", "a bad day"]).stdout
    changed = dry["newly_adverse"] + dry["newly_not"] + dry["otherwise"]
    assert f"{dry['newly_adverse']:,} are now too cold or too hot, {dry['newly_not']:,} are no longer" in said
    (entry,) = replayed(here)
    assert (entry.why, entry.details["published"]) == ("a bad day", changed)
    assert "0 are now too cold or too hot" in CliRunner().invoke(app, asked).stdout
    pending = json.loads(CliRunner().invoke(app, [*asked, "--dry-run", "--json", "--pending"]).stdout)
    assert (dry["mode"], pending["mode"]) == ("logged", "recompute"), "what was answered by default has no inputs"


def test_replay_loads_the_version_only_where_it_may_serve(served: Registry) -> None:
    refused = register(served, 1.0, "refused")
    make_log(served.settings, 20)

    def load(bundle: Path) -> Any:
        raise AssertionError("it is loaded")

    with pytest.raises(Refused):
        replay_decisions(served.settings, str(refused), Asked(replace(ROOMS, load=load), START, END))
    assert replay_decisions(served.settings, "champion", Asked(ROOMS, START, END)).version == 2


def test_rows_that_the_log_lost_are_told(home: Settings, loaded: dict[int, Loaded]) -> None:
    (part,) = make_log(home, 20)
    lost = {"since": START.isoformat(), "until": END.isoformat(), "rows": 7, "damaged": 0}
    write_json(gaps_file(home, "rooms", part), lost)
    assert "7 were lost as they were logged" in again(home, loaded[2]).words()
