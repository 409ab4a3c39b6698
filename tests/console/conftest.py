"""The console on a real app: a small forecaster that decides, a calendar to save to, and a ledger with a history."""

import shutil
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette

from headgate.domains.capacity.forecaster import Forecaster
from headgate.settings import Settings

from ..domains.capacity.conftest import forecaster, load_source, load_work  # noqa: F401
from ..serving import real

SALE = "flash-2026-02-2"
HOME = "eu-central/home/requests"
WINDOW = {"series": HOME, "from": "2026-02-19T00:00", "to": "2026-02-26T00:00", "step": "1h"}
ORIGIN = {"origin": "http://127.0.0.1"}


@pytest.fixture
def here(tmp_path: Path, load_source: Path) -> Settings:  # noqa: F811
    """Settings with a state folder and a calendar of their own."""
    calendar = tmp_path / "planners"
    calendar.mkdir()
    for name in ("calendar.csv", "series.csv"):
        shutil.copyfile(load_source / name, calendar / name)
    return replace(real.settings(tmp_path / "state"), calendar=str(calendar))


@pytest.fixture
def app(here: Settings, forecaster: Forecaster) -> Iterator[Starlette]:  # noqa: F811
    """The app with a forecaster as champion of capacity."""
    with real.real_app(here, real.CAPACITY, forecaster) as made:
        yield made


@pytest.fixture
def browse() -> Callable[..., Any]:
    """A client of an app, as a browser on this machine."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Starlette would like another client than the one that is installed
        from starlette.testclient import TestClient
    return lambda app, **more: TestClient(app, base_url="http://127.0.0.1", **more)


@pytest.fixture
def client(app: Starlette, browse: Callable[..., Any]) -> Any:
    """A browser without a token, where none is needed."""
    return browse(app)
