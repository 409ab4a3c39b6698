"""The console on a real app: a small forecaster that decides, a calendar to save to, and a ledger with a history."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from starlette.applications import Starlette

from headgate.domain import get_domain
from headgate.domains.capacity.model.forecaster import Forecaster
from headgate.domains.capacity.orders.plans import FOLDER, Plan, seal, write
from headgate.settings import Settings

from ....console.conftest import browse, client
from ....console.history import write_history
from ....serving import real

__all__ = ["browse", "client"]

CAPACITY = get_domain("capacity")

SALE = "flash-2026-02-2"
HOME = "eu-central/home/requests"
WINDOW = {"series": HOME, "from": "2026-02-19T00:00", "to": "2026-02-26T00:00", "step": "1h"}


@pytest.fixture
def here(tmp_path: Path, load_source: Path) -> Settings:
    """Settings with a state folder and a calendar of their own."""
    calendar = tmp_path / "planners"
    calendar.mkdir()
    for name in ("calendar.csv", "series.csv"):
        shutil.copyfile(load_source / name, calendar / name)
    return replace(real.settings(tmp_path / "state"), calendar=str(calendar))


@pytest.fixture
def app(here: Settings, forecaster: Forecaster) -> Iterator[Starlette]:
    """The app with a forecaster as champion of capacity."""
    with real.real_app(here, CAPACITY, forecaster) as made:
        yield made


@pytest.fixture
def history(here: Settings, empty_database: Path) -> Settings:
    """`here` with a registry and a ledger: version 1 is champion, 2 was refused, 3 waits, and promotion is held."""
    return write_history(here, CAPACITY.name, empty_database)


#: The form that saves the flash sale two days later, as a page that showed its first revision sends it.
MOVED = WINDOW | {
    "event": SALE,
    "start": "2026-02-23T00:00",
    "end": "2026-02-24T00:00",
    "seen": f"{SALE}@1",
    "reason": "The supplier is late.",
}


@pytest.fixture
def plan(here: Settings) -> dict[str, Any]:
    """A plan of orders of another calendar and version, where the page finds it."""
    weeks = [f"2026-02-{day:02d}" for day in (16, 23)] + [f"2026-03-{day:02d}" for day in (2, 9, 16, 23)]
    need = [310.0, 420.0, 360.0, 380.0, 395.0, 402.0]
    made: dict[str, Any] = {
        "id": "5f0c2d9a41b7e683",
        "made": "2026-02-16T08:00:00+00:00",
        "seconds": 2.4,
        "after": 0,
        "weeks": weeks,
        "currency": "USD",
        "forecast": {
            "version": 7,
            "bundle": "b" * 64,
            "ruling": "passed",
            "as_of": "2026-02-16T00:00:00+00:00",
            "calendar": "0123456789ab",
            "certified": True,
            "scenarios": 400,
        },
        "cost": {
            "total": 48_210.0,
            "on_demand": 9_120.5,
            "reserved": 36_800.0,
            "after": 1_400.0,
            "missing": 889.5,
            "by_type": {},
            "by_zone": {},
            "by_week": [],
        },
        "bound": 48_000.0,
        "gap": 0.004,
        "mixes": [],
        "pools": [],
        "services": [
            {
                "service": "home",
                "median": need,
                "quantile": [1.2 * value for value in need],
                "floor": [0.9 * value for value in need],
                "capacity": [460.0, 560.0, 500.0, 500.0, 520.0, 520.0],
                "missing": [0.0] * 6,
                "headroom": [
                    {
                        "name": "utilisation",
                        "value": 1.54,
                        "carried": "factor",
                        "why": "Instances run at 65 % at most.",
                    },
                    {"name": "zone loss", "value": 1.5, "carried": "constraint", "why": "Any one of 3 zones may fail."},
                ],
            }
        ],
        "prices": [{"saves": 310.0, "words": "A quota of 8 vCPUs more of m7, one more instance would save 310 USD."}],
        "orders": [
            {
                "line": f"{number:05d}",
                "kind": kind,
                "region": "eu-central-1",
                "zone": f"eu-central-1{zone}",
                "type": "m7g.2xlarge",
                "start": weeks[number % 2],
                "count": 12 + number,
                "weeks": 13 if kind == "reservation" else 0,
                "group": "" if kind == "reservation" else f"home-{zone}",
            }
            for number, (kind, zone) in enumerate((k, z) for k in ("reservation", "schedule") for z in "abc")
        ],
        "changed": ["The cost goes from 45,900 USD to 48,210 USD.", "The calendar is another."],
    }
    keep(here, made)
    return made


def keep(here: Settings, made: dict[str, Any]) -> None:
    """Write a plan where the page finds it."""
    path = here.home / FOLDER / "plan.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    write(seal(msgspec.convert(made, Plan)), path)
