"""What many tests share: a state folder of their own, and small simulated data, made once."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings as hypothesis_settings

from headgate import settings
from headgate.domain import get_domain

from .made_once import made_once

if TYPE_CHECKING:
    from headgate.drills.world import World

# The same examples on every machine, and no deadline: a busy machine is no failure.
hypothesis_settings.register_profile("headgate", deadline=None, derandomize=True)
hypothesis_settings.load_profile("headgate")

# A shell that starts the tests in the background has them ignore Ctrl-C, which some of them send to themselves.
signal.signal(signal.SIGINT, signal.default_int_handler)

#: What a person's shell may hold and a test must not see.
SETTINGS = ("HEADGATE_", "MLFLOW_TRACKING_URI", "PREFECT_API_URL", "AWS_")


#: Files that take longest come first, so that in the end no process waits for another's last one.
LONGEST = ("test_daily_path", "test_capacity_path", "test_drills", "test_killed_flow", "test_journeys", "test_faults")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Order the files; `make test` has the processes take them in this order."""
    items.sort(key=lambda item: LONGEST.index(item.path.stem) if item.path.stem in LONGEST else len(LONGEST))


@pytest.fixture(autouse=True, scope="session")
def _own_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No setting of the person who runs the tests leaks in; the state folder is a scratch one."""
    patch = pytest.MonkeyPatch()
    for name in list(os.environ):
        if name.startswith(SETTINGS) and name != "AWS_CA_BUNDLE":
            patch.delenv(name)
    patch.setenv("HEADGATE_HOME", str(tmp_path_factory.mktemp("state")))
    # Ports of its own for each process that runs tests: between finding a port free and taking it, another may take it.
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    for number, name in enumerate(("HEADGATE_PORT", "HEADGATE_MLFLOW_PORT", "HEADGATE_PREFECT_PORT")):
        patch.setenv(name, str(12_000 + 600 * worker + 200 * number))
    settings.load()
    yield
    patch.undo()


@pytest.fixture(name="settings")
def own_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> settings.Settings:
    """A state folder of the test's own; a registry that does not answer is not asked again."""
    monkeypatch.setenv("HEADGATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    return settings.load()


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str, int], None]:
    """Point boto3 at a server of our own, which tries a request so often; nobody's credentials are read."""

    def use(url: str, attempts: int) -> None:
        import boto3

        settings = {
            "AWS_ENDPOINT_URL": url,
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": str(tmp_path / "none"),
            "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none"),
            "AWS_MAX_ATTEMPTS": str(attempts),
        }
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)

    return use


@pytest.fixture(scope="session")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """18 days of calm clicks, enough to certify a budget of 1 %; at 2026-01-22 all but the last are over."""
    return made_once(tmp_path_factory, "clicks/calm", lambda folder: _world(folder.parent).simulate("calm"))


@pytest.fixture(scope="session")
def clicks_world(calm: Path, tmp_path_factory: pytest.TempPathFactory) -> "World":
    """The world that drills are played in: `calm`, and the stages of a good version of it, sealed."""
    from headgate.drills.world import build

    return _world(made_once(tmp_path_factory, "clicks", lambda folder: build(get_domain("adclicks"), folder)))


def _world(folder: Path) -> "World":
    from headgate.domains.adclicks.stages.rehearsal import rehearsal
    from headgate.drills.world import World

    return World(get_domain("adclicks"), rehearsal(), folder)


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated, empty MLflow database: making one takes seconds, copying it none."""
    for name, value in settings.QUIET.items():
        os.environ.setdefault(name, value)

    def migrate(folder: Path) -> None:
        from mlflow import MlflowClient

        folder.mkdir()
        MlflowClient(f"sqlite:///{folder / 'mlflow.db'}").search_registered_models()

    return made_once(tmp_path_factory, "mlflow", migrate) / "mlflow.db"
