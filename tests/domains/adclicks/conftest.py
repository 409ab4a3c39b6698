"""Small sources of clicks: simulated, written by hand, or doctored; and the stages run once on a small one."""

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from headgate import stages
from headgate.domain import Request, get_domain
from headgate.domains.adclicks.data import raw
from headgate.domains.adclicks.data.schema import TABLES
from headgate.domains.adclicks.simulated.simulator import simulate
from headgate.domains.adclicks.simulated.sizes import ClickSizes

from ...made_once import made_once

AS_OF = datetime(2026, 1, 22, tzinfo=UTC)

Change = Callable[[pl.DataFrame], pl.DataFrame] | None


@pytest.fixture(scope="session")
def as_of() -> datetime:
    """The midnight after the last simulated day."""
    return AS_OF


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """17 days of calm clicks, too few to certify a budget of 1 %."""
    return made_once(
        tmp_path_factory, "clicks/small", lambda out: simulate(out, ClickSizes(days=17, clicks_per_day=4_000), seed=5)
    )


@pytest.fixture(scope="session")
def work(small: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folders of all stages, run once on `small`, and the sealed bundle."""

    def run(folder: Path) -> None:
        stages.snapshot(get_domain("adclicks"), folder, Request(str(small), AS_OF))
        for stage in stages.STAGES.values():
            stage(get_domain("adclicks"), folder)
        stages.seal(folder)

    return made_once(tmp_path_factory, "clicks/small-work", run)


@pytest.fixture(scope="session")
def doctored(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path, dict[str, Change]], Path]:
    """A copy of a source in which some files, by name, are changed, or left out."""

    def make(source: Path, changes: dict[str, Change]) -> Path:
        out = tmp_path_factory.mktemp("doctored")
        for path in source.rglob("*.parquet"):
            name = path.relative_to(source).as_posix()
            (out / name).parent.mkdir(exist_ok=True)
            if name not in changes:
                os.link(path, out / name)
            elif change := changes[name]:
                change(pl.read_parquet(path)).write_parquet(out / name)
        return out

    return make


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., Path]:
    """A source with the given rows of each table; a click needs nothing but `event_time`, the rest is filled in."""
    numbers = count()

    def click(row: dict[str, Any]) -> dict[str, Any]:
        common = {
            "click_id": f"c{next(numbers):06d}",
            "utc_offset_min": 0,
            "received_at": row["event_time"] + timedelta(milliseconds=200),
            "user_id": "u",
            "session_id": "s",
            "ip": "192.0.2.1",
            "device": "mobile",
            "logged_in": False,
            "campaign": "c",
            "rfm": None,
        }
        return common | row

    def write(**tables: list[dict[str, Any]]) -> Path:
        out = tmp_path / "written"
        for table, rows in tables.items():
            full = [click(row) for row in rows] if table == "clicks" else rows
            if full:
                raw.write_days(pl.DataFrame(full, schema=TABLES[table]), table, out)
        return out

    return write
