"""A real registry of tiny bundles and an app on it: fixtures for whoever serves, of the domain that `kind` names."""

import shutil
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from headgate.domain import Domain
from headgate.registry.bundles import bundle_id
from headgate.registry.ledger import Entry, Ledger
from headgate.registry.versions import TAG_BUNDLE
from headgate.settings import Settings


@dataclass(frozen=True)
class Kind:
    """A domain, and who makes its tiny bundles: (parent, name, …) → bundle."""

    domain: Domain
    make: Callable[..., Path]


@dataclass
class Registry:
    """A registry in a folder, and what people do in it."""

    settings: Settings
    scratch: Path
    kind: Kind

    @property
    def name(self) -> str:
        return self.kind.domain.name

    @property
    def client(self) -> Any:
        from mlflow import MlflowClient

        return MlflowClient(self.settings.local_tracking_uri)

    @property
    def artifacts(self) -> Path:
        return self.settings.home / "artifacts"

    def register(self, *, tagged: bool = True, judged: bool = True, **bundle: float | None) -> int:
        """Register a new tiny bundle; return the version's number."""
        client = self.client
        known = client.search_registered_models()
        if not known:
            client.create_registered_model(self.name)
            client.create_experiment(self.name, artifact_location=self.artifacts.as_uri())
        name = f"bundle-{len(list(self.scratch.iterdir()))}"
        folder = self.kind.make(self.scratch, name, **bundle)
        run = client.create_run(client.get_experiment_by_name(self.name).experiment_id)
        client.log_artifacts(run.info.run_id, str(folder), "bundle")
        version = client.create_model_version(
            self.name,
            source=f"{run.info.artifact_uri}/bundle",
            run_id=run.info.run_id,
            tags={TAG_BUNDLE: bundle_id(folder)} if tagged else {},
        )
        if judged:
            self.judge(int(version.version), bundle_id(folder), "passed")
        return int(version.version)

    def judge(self, version: int, bundle: str, ruling: str) -> None:
        Ledger(self.settings).append(
            Entry(self.name, "verdict", "a test", to_version=version, bundle=bundle, ruling=ruling)
        )

    def crown(self, version: int, *, told: bool = True) -> None:
        """Move the alias; `told` if the registrar has written it down."""
        self.alias(version, "champion")
        if told:
            Ledger(self.settings).append(Entry(self.name, "changed", "a test", to_version=version))

    def uncrown(self) -> None:
        self.client.delete_registered_model_alias(self.name, "champion")

    def alias(self, version: int, alias: str) -> None:
        self.client.set_registered_model_alias(self.name, alias, str(version))

    def canary(self, share: str) -> None:
        """Let the challenger decide for a share of the units."""
        self.client.set_registered_model_tag(self.name, "headgate.canary", share)

    def artifact(self, version: int, name: str) -> Path:
        run = self.client.get_model_version(self.name, str(version)).run_id
        return self.artifacts / run / "artifacts" / "bundle" / name

    def away(self) -> Settings:
        """The same settings with a registry that does not answer."""
        return replace(self.settings, tracking_uri="http://127.0.0.1:9")


@pytest.fixture
def registry(settings: Settings, empty_database: Path, tmp_path: Path, kind: Kind) -> Registry:
    settings.mlflow_home.mkdir(parents=True)
    shutil.copyfile(empty_database, settings.mlflow_home / "mlflow.db")
    (tmp_path / "scratch").mkdir()
    return Registry(settings, tmp_path / "scratch", kind)


@pytest.fixture
def serve(kind: Kind) -> Iterator[Callable[..., Any]]:
    """Start apps in this process; they stop when the test ends."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Starlette would like another client than the one that is installed
        from starlette.testclient import TestClient

    from headgate.serving.app import build

    clients = []

    def start(settings: Settings, *, follow: bool = True) -> TestClient:
        client = TestClient(build([kind.domain], settings), raise_server_exceptions=False)
        if follow:
            client.__enter__()
            clients.append(client)
        return client

    yield start
    for client in clients:
        client.__exit__(None, None, None)


@pytest.fixture
def client(registry: Registry, serve: Callable[..., Any]) -> Any:
    """An app that decides with a first champion."""
    registry.crown(registry.register())
    return serve(registry.settings)
