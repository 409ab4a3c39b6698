"""Warm versions: for each domain the champion that decides. Who reads them waits for nothing."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from headgate.domain import Predictor


@dataclass(frozen=True)
class Loaded:
    """A version that was verified, loaded and held against its golden answers."""

    domain: str
    version: int
    bundle: str  # the bundle's id
    predictor: "Predictor"
    loaded_at: datetime


class Slots:
    """What this process decides with. One thread writes (`follower`), requests read; a swap is one reference."""

    def __init__(self) -> None:
        """Nothing is loaded."""
        self._champions: dict[str, Loaded] = {}
        self._problems: dict[str, str] = {}

    def champion(self, domain: str) -> Loaded | None:
        """The version that decides for `domain` now. A request reads it once and decides all its rows with it."""
        return self._champions.get(domain)

    def problem(self, domain: str) -> str | None:
        """Why `domain` is not served, or not with what the registry says; None where all is well."""
        return self._problems.get(domain)

    def crown(self, loaded: Loaded) -> None:
        """Let `loaded` decide for its domain from now on."""
        self._champions[loaded.domain] = loaded

    def report(self, domain: str, problem: str | None) -> None:
        """Note what is wrong with `domain`, or that nothing is."""
        if problem is None:
            self._problems.pop(domain, None)
        else:
            self._problems[domain] = problem
