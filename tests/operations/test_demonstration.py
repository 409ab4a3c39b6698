"""The demonstration's data: it ends today, the same day has the same bytes, and a version of a day is made once."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from headgate.contract.demonstration import Demonstration, Play
from headgate.operations.demonstration import judged, remember, simulate
from headgate.orchestration.outcome import Outcome
from headgate.registry.ledger import Entry, Ledger
from headgate.settings import Settings

from ..toy import ROOMS

NOON = datetime(2026, 12, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def outcome(version: int | None = 1) -> Outcome:
    return Outcome("rooms", NOON.isoformat(), "promoted", ("fine",), version, "run", "b" * 64, False, "It is promoted.")


def test_it_ends_with_the_day_before_today(settings: Settings) -> None:
    play = simulate(settings, ROOMS, NOON)
    assert play.as_of == datetime(2026, 12, 1, tzinfo=UTC)
    days = sorted(path.stem for path in play.source.glob("*.parquet"))
    assert (days[0], days[-1], len(days)) == ("2026-10-20", "2026-11-30", ROOMS.demo.days)


def test_the_same_day_has_the_same_bytes_and_is_simulated_once(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = contents(simulate(settings, ROOMS, NOON).source)
    assert "Simulating" in capsys.readouterr().err
    assert contents(simulate(settings, ROOMS, NOON + timedelta(hours=11)).source) == first
    assert capsys.readouterr().err == ""
    other = replace(settings, home=tmp_path / "other")
    assert contents(simulate(other, ROOMS, NOON).source) == first


def test_the_next_day_takes_the_place_of_the_day_before(settings: Settings) -> None:
    seen: list[tuple[date, list[str] | None]] = []

    def prepare(settings: Settings, play: Play, before: Path | None) -> None:
        seen.append((play.start, None if before is None else sorted(path.stem for path in before.iterdir())))

    shown = replace(ROOMS, demonstration=Demonstration(prepare=prepare))
    for at in (NOON, NOON, NOON + DAY):
        play = simulate(settings, shown, at)
    assert [start for start, _ in seen] == [date(2026, 10, 20), date(2026, 10, 21)]
    assert seen[0][1] is None
    assert seen[1][1] is not None
    assert seen[1][1][-1] == "2026-11-30"
    assert max(path.stem for path in play.source.iterdir()) == "2026-12-01"
    assert sorted(path.name for path in play.source.parent.iterdir()) == ["rooms", "rooms.json"]


@pytest.mark.parametrize("at", ["before anything", "half written", "put aside"])
def test_what_a_killed_run_left_is_made_anew(settings: Settings, at: str) -> None:
    told: list[Path | None] = []

    def prepare(settings: Settings, play: Play, before: Path | None) -> None:
        told.append(before)

    shown = replace(ROOMS, demonstration=Demonstration(prepare=prepare))
    whole = contents(simulate(settings, shown, NOON).source)
    home = settings.home / "demo"
    (home / "rooms.json").unlink()
    if at == "half written":
        (home / ".new-rooms").mkdir()
        (home / ".new-rooms" / "2026-10-20.parquet").write_bytes(b"half")
    if at == "put aside":
        (home / "rooms").rename(home / ".before-rooms")
    assert contents(simulate(settings, shown, NOON).source) == whole
    assert told[-1] is not None
    assert sorted(path.name for path in home.iterdir()) == ["rooms", "rooms.json"]


def verdict(ledger: Ledger, version: int, bundle: str) -> None:
    ledger.append(Entry("rooms", "verdict", "the flow", "", to_version=version, bundle=bundle, ruling="passed"))


def test_a_judged_version_of_the_day_is_known_while_the_ledger_knows_it(settings: Settings) -> None:
    play = simulate(settings, ROOMS, NOON)
    assert judged(settings, ROOMS, play) is None
    remember(settings, ROOMS, play, outcome())
    assert judged(settings, ROOMS, play) is None  # another state's ledger
    verdict(Ledger(settings), 1, "b" * 64)
    assert judged(settings, ROOMS, play) == outcome()
    assert judged(settings, ROOMS, simulate(settings, ROOMS, NOON)) == outcome()
    assert judged(settings, ROOMS, simulate(settings, ROOMS, NOON + DAY)) is None


def test_refused_data_is_judged_again(settings: Settings) -> None:
    play = simulate(settings, ROOMS, NOON)
    Ledger(settings).append(Entry("rooms", "verdict", "the flow"))  # of no version
    remember(settings, ROOMS, play, replace(outcome(version=None), bundle=""))
    assert judged(settings, ROOMS, play) is None


def test_another_size_is_another_demonstration(settings: Settings) -> None:
    simulate(settings, ROOMS, NOON)
    fewer: Callable[[int], Any] = lambda days: replace(ROOMS, demo=replace(ROOMS.demo, days=days))  # noqa: E731
    assert len(list(simulate(settings, fewer(30), NOON).source.iterdir())) == 30
