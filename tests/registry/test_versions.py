"""The registry's client: what it leaves behind in the process that asks."""

import os

import pytest

from headgate import settings
from headgate.registry import versions


@pytest.mark.parametrize("said", [None, ""])
def test_asking_the_registry_changes_no_setting(
    said: str | None, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MLflow writes the address of its server into the environment, where the next state folder would find it."""
    monkeypatch.setenv("HEADGATE_HOME", str(tmp_path_factory.mktemp("one")))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    if said is not None:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", said)
    versions.client(settings.load())
    assert os.environ.get("MLFLOW_TRACKING_URI") == said
    assert settings.load().tracking_uri is None
