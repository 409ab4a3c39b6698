"""A small simulated source of load and the stages run once on it."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from headgate import stages
from headgate.domain import Request, get_domain
from headgate.domains.capacity.model.forecaster import Forecaster
from headgate.domains.capacity.simulated.simulator import simulate
from headgate.domains.capacity.simulated.sizes import LoadSizes

from ...made_once import made_once

AS_OF = datetime(2026, 2, 16, tzinfo=UTC)


@pytest.fixture(scope="session")
def load_source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """42 days of two services of one region, every quarter of an hour; a flash sale comes on 21 February."""
    return made_once(
        tmp_path_factory,
        "load/raw",
        lambda out: simulate(out, LoadSizes(days=42, regions=1, services=2, step=900), seed=5),
    )


@pytest.fixture(scope="session")
def as_of() -> datetime:
    """The midnight after the last simulated day."""
    return AS_OF


@pytest.fixture(scope="session")
def load_work(load_source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folders of the stages, run once on `load_source`, and the sealed bundle."""
    capacity = get_domain("capacity")

    def run(folder: Path) -> None:
        stages.snapshot(capacity, folder, Request(str(load_source), AS_OF))
        for name in ("train", "calibrate", "evaluate"):
            stages.STAGES[name](capacity, folder)
        stages.seal(folder)

    return made_once(tmp_path_factory, "load/work", run)


@pytest.fixture(scope="session")
def forecaster(load_work: Path) -> Forecaster:
    """The version that was trained on `load_source`."""
    return Forecaster(load_work / "bundle")
