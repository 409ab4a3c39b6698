"""The real app with a champion in place, without a registry."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest import mock

from starlette.applications import Starlette

from headgate import settings as settings_module
from headgate.contract.slots import Loaded, Slots
from headgate.domain import Domain
from headgate.serving import app
from headgate.settings import Settings


def settings(home: Path) -> Settings:
    """Settings with a state folder of their own."""
    return replace(settings_module.load(), home=home)


@contextmanager
def real_app(settings: Settings, domain: Domain, predictor: Any) -> Iterator[Starlette]:
    """The app of `domain`, in which `predictor` decides as version 1 and no registry is followed."""
    slots = Slots()
    slots.set_champion(Loaded(domain.name, 1, "b" * 64, predictor, datetime.now(UTC)))
    with mock.patch.object(app, "Slots", return_value=slots), mock.patch.object(app, "Follower"):
        yield app.build([domain], settings)
