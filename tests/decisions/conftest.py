"""A state folder of a test's own."""

from pathlib import Path

import pytest

from headgate import settings as settings_module
from headgate.settings import Settings


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("HEADGATE_HOME", str(tmp_path / "state"))
    return settings_module.load()
