"""What goes, and what never does."""

import json
import os
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from headgate.commands.gc import _bytes
from headgate.decisions import retention
from headgate.decisions.layout import log_folder
from headgate.decisions.retention import collect
from headgate.errors import HeadgateError, UsageError
from headgate.files import write_json
from headgate.registry.ledger import Entry, Ledger
from headgate.registry.versions import Version
from headgate.settings import Settings

from ..toy import ROOMS
from .made import make_log

#: The toy, its log kept until somebody says otherwise.
FOR_EVER = replace(ROOMS, live=replace(ROOMS.logs, log=replace(ROOMS.logs.log, days=None)))

TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
LONG_AGO = time.time() - 400 * 86_400


def days_of_log(settings: Settings) -> list[int]:
    """How old the days are that the log still has, oldest first."""
    there = sorted(path.name for path in log_folder(settings, "rooms").glob("????-??-??"))
    return [(TODAY - datetime.fromisoformat(name).replace(tzinfo=UTC)).days for name in there]


def log_days(settings: Settings, *ages: int) -> None:
    for age in ages:
        make_log(settings, 200, start=TODAY - timedelta(days=age), seed=age)


def test_days_beyond_the_limit_go_and_a_dry_run_only_says_so(settings: Settings) -> None:
    log_days(settings, 100, 91, 90, 1, 0)
    dry = collect(settings, [FOR_EVER], everything=False, keep_days=90, dry_run=True)
    assert days_of_log(settings) == [100, 91, 90, 1, 0]
    done = collect(settings, [FOR_EVER], everything=False, keep_days=90)
    assert [item.name for item in done.items] == [item.name for item in dry.items]
    assert days_of_log(settings) == [90, 1, 0]
    assert f"{TODAY - timedelta(days=100):%Y-%m-%d}: older than 90 days" in dry.words()
    assert dry.words().endswith("would go.")
    assert done.size == sum(item.size for item in dry.items) > 0
    assert collect(settings, [FOR_EVER], everything=False, keep_days=90).items == ()


def test_of_a_log_that_is_too_large_the_oldest_days_go_and_never_today(settings: Settings) -> None:
    log_days(settings, 3, 2, 1, 0)
    one = collect(settings, [FOR_EVER], everything=False, keep_days=1, dry_run=True).items[0].size
    collect(settings, [FOR_EVER], everything=False, keep_days=90, keep_bytes=int(2.5 * one))
    assert days_of_log(settings) == [1, 0]
    collect(settings, [FOR_EVER], everything=False, keep_days=90, keep_bytes=0)
    assert days_of_log(settings) == [0]


def test_another_domains_log_stays(settings: Settings) -> None:
    log_days(settings, 100)
    collect(settings, [replace(ROOMS, name="cellars")], everything=False, keep_days=1)
    assert days_of_log(settings) == [100]


def test_a_log_whose_domain_keeps_fewer_days_goes_sooner(settings: Settings) -> None:
    log_days(settings, 9, 8, 7, 0)
    brief = replace(ROOMS, live=replace(ROOMS.logs, log=replace(ROOMS.logs.log, days=7)))
    collect(settings, [brief], everything=False, keep_days=90)
    assert days_of_log(settings) == [7, 0]


@dataclass
class World:
    """A registry of versions, each with a bundle in the cache and data in the store, all of it long ago."""

    settings: Settings
    versions: dict[int, Version]

    def add(
        self, number: int, *, aliases: tuple[str, ...] = (), stage: str = "None", shares: int | None = None
    ) -> None:
        """Version `number`; it shares a file of data with version `shares`."""
        folder = self.settings.bundles / f"bundle{number}"
        folder.mkdir(parents=True)
        write_json(folder / "bundle.json", {"domain": "rooms"})
        old(folder)
        files = [self.put(f"{number:032x}"), self.put(f"{shares or number:031x}f")]
        self.put(f"{number:031x}d.dir", json.dumps([{"md5": one, "relpath": one} for one in files]))
        self.versions[number] = Version(
            domain="rooms",
            number=number,
            bundle=f"bundle{number}",
            run_id=f"run{number}",
            source="",
            aliases=aliases,
            stage=stage,
            tags={},
            created_ms=int(LONG_AGO * 1000),
            changed_ms=0,
        )

    def put(self, name: str, text: str = "x") -> str:
        """An object of the store."""
        path = self.settings.home / "dvc/cache/files/md5" / name[:2] / name[2:]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        old(path)
        return name

    def lock(self, number: int) -> dict[str, Any]:
        return {"stages": {"snapshot@rooms": {"outs": [{"md5": f"{number:031x}d.dir"}]}}}

    @property
    def bundles(self) -> set[int]:
        return {int(path.name.removeprefix("bundle")) for path in self.settings.bundles.iterdir()}

    @property
    def data(self) -> set[int]:
        """Versions whose data is there whole."""
        store = self.settings.home / "dvc/cache/files/md5"

        def has(name: str) -> bool:
            return (store / name[:2] / name[2:]).is_file()

        def whole(number: int) -> bool:
            folder = f"{number:031x}d.dir"
            if not has(folder):
                return False
            return all(has(one["md5"]) for one in json.loads((store / folder[:2] / folder[2:]).read_text()))

        return {number for number in self.versions if whole(number)}


def old(path: Path) -> None:
    os.utime(path, (LONG_AGO, LONG_AGO))


@pytest.fixture
def world(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> World:
    world = World(settings, {})
    monkeypatch.setattr(retention.versions, "exist", lambda settings: True)
    monkeypatch.setattr(
        retention.versions, "client", lambda settings: SimpleNamespace(get_experiment_by_name=lambda _: None)
    )
    monkeypatch.setattr(
        retention.versions,
        "all_versions",
        lambda registry, domain: list(world.versions.values()) if domain == "rooms" else [],
    )
    monkeypatch.setattr(retention.objects, "recorded", lambda registry, run: world.lock(int(run.removeprefix("run"))))
    return world


def entry(settings: Settings, what: Any, version: int, *, days_ago: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry that was written so many days ago."""
    from headgate.registry import ledger

    class Then(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> "Then":
            return cls.fromtimestamp(time.time() - days_ago * 86_400, tz)

    monkeypatch.setattr(ledger, "datetime", Then)
    Ledger(settings).append(Entry("rooms", what, "a test", to_version=version))
    monkeypatch.setattr(ledger, "datetime", datetime)


def test_what_ledger_or_alias_refer_to_stays_bundle_and_data(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = world.settings
    world.add(1)  # nothing refers to it any more
    world.add(2)  # in the line of champions
    world.add(3, aliases=("champion",))
    world.add(4, aliases=("challenger",), shares=1)
    world.add(5)  # refused lately
    world.add(6)  # refused long ago
    world.add(7, stage="Production")
    world.add(8)  # a change to it was begun and cut off
    world.add(9)  # the newest run's, whose version is not there yet
    world.add(10)  # served last by this machine
    for what, version, days_ago in (
        ("changed", 2, 300),
        ("changed", 3, 200),
        ("verdict", 6, 100),
        ("verdict", 5, 10),
        ("intent", 8, 300),
    ):
        entry(settings, what, version, days_ago=days_ago, monkeypatch=monkeypatch)
    settings.datasets.mkdir(parents=True)
    (settings.datasets / "dvc.lock").write_text(yaml.safe_dump(world.lock(9)))
    write_json(settings.home / "serving" / "adclicks.json", {"version": 10, "bundle": "bundle10"})

    dry = collect(settings, [FOR_EVER], everything=True, keep_days=90, dry_run=True)
    assert (world.bundles, world.data) == (set(range(1, 11)), set(range(1, 11)))
    assert {item.kind for item in dry.items} == {"bundle", "data"}

    collect(settings, [FOR_EVER], everything=True, keep_days=90)
    assert world.bundles == {2, 3, 4, 5, 7, 8, 10}
    assert world.data == {2, 3, 4, 5, 7, 8, 9}
    store = settings.home / "dvc/cache/files/md5"
    assert (store / "00" / f"{1:031x}f"[2:]).is_file(), "version 4 shares it"
    assert not (store / "00" / f"{1:032x}"[2:]).is_file()
    assert collect(settings, [FOR_EVER], everything=True, keep_days=90).items == ()

    collect(settings, [FOR_EVER], everything=True, keep_days=5)
    assert world.bundles == {2, 3, 4, 7, 8, 10}
    assert 5 not in world.data


def test_data_goes_only_with_all_and_what_is_young_stays(world: World) -> None:
    world.add(1)
    world.put("ab" * 16)
    collect(world.settings, [FOR_EVER], everything=False, keep_days=90)
    assert (world.bundles, world.data) == (set(), {1})
    fresh = world.settings.home / "dvc/cache/files/md5/cd" / ("cd" * 15)
    fresh.parent.mkdir()
    fresh.write_text("of a run that is under way")
    collect(world.settings, [FOR_EVER], everything=True, keep_days=90)
    assert fresh.is_file()
    assert world.data == set()


def test_where_nobody_can_say_what_is_needed_nothing_goes(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    log_days(world.settings, 100)
    world.add(1)
    world.add(2, aliases=("champion",))

    def away(registry: Any, run: str) -> Any:
        raise HeadgateError("The artifacts of run 2 cannot be read.")

    monkeypatch.setattr(retention.objects, "recorded", away)
    with pytest.raises(HeadgateError, match="cannot be read"):
        collect(world.settings, [FOR_EVER], everything=True, keep_days=1)
    assert (world.bundles, world.data, days_of_log(world.settings)) == ({1, 2}, {1, 2}, [100])


def test_a_store_that_lacks_what_a_version_needs_is_left_alone(world: World) -> None:
    world.add(1)
    world.add(2, aliases=("champion",))
    name = f"{2:031x}d.dir"
    (world.settings.home / "dvc/cache/files/md5" / name[:2] / name[2:]).unlink()
    with pytest.raises(HeadgateError, match="lacks"):
        collect(world.settings, [FOR_EVER], everything=True, keep_days=1)
    assert world.bundles == {1, 2}


def test_without_a_registry_only_the_log_is_looked_at(settings: Settings) -> None:
    folder = settings.bundles / "bundle1"
    folder.mkdir(parents=True)
    write_json(folder / "bundle.json", {"domain": "rooms"})
    old(folder)
    assert collect(settings, [FOR_EVER], everything=True, keep_days=1).items == ()
    assert not (settings.home / "ledger.db").exists()


@pytest.mark.parametrize(("text", "size"), [("500", 500), ("2K", 2048), ("1.5M", 3 << 19), ("20GiB", 20 << 30)])
def test_sizes_are_read_as_people_write_them(text: str, size: int) -> None:
    assert _bytes(text) == size


def test_what_is_no_size_is_refused() -> None:
    with pytest.raises(UsageError, match="500M or 20G"):
        _bytes("much")
