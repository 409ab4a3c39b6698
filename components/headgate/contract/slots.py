"""Warm versions: for each domain the champion that decides, and those that could take its place in no time."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from zlib import crc32

if TYPE_CHECKING:
    from headgate.contract.predictor import Predictor


@dataclass(frozen=True)
class Loaded:
    """A version that was verified, loaded and held against its golden answers."""

    domain: str
    version: int
    bundle: str  # the bundle's id
    predictor: "Predictor"
    loaded_at: datetime


@dataclass(frozen=True)
class Canary:
    """A challenger that decides for a share of the units before it decides for all."""

    loaded: Loaded
    share: float

    def takes(self, unit: str) -> bool:
        """Whether `unit` is of the share: always the same ones, and with a larger share more."""
        return crc32(f"{self.loaded.domain}/{unit}".encode()) < self.share * 2**32


class Slots:
    """What this process decides with. One thread writes (`follower`), requests read; a swap is one reference."""

    def __init__(self) -> None:
        """Nothing is loaded."""
        self._champions: dict[str, Loaded] = {}
        self._canaries: dict[str, Canary] = {}
        self._problems: dict[str, str] = {}

    def champion(self, domain: str) -> Loaded | None:
        """The version that decides for `domain` now. A request reads it once and decides all its rows with it."""
        return self._champions.get(domain)

    def canary(self, domain: str) -> Canary | None:
        """The challenger that decides for a share of the units; None where there is none."""
        return self._canaries.get(domain)

    def problem(self, domain: str) -> str | None:
        """Why `domain` is not served, or not with what the registry says; None where all is well."""
        return self._problems.get(domain)

    def set_champion(self, loaded: Loaded) -> None:
        """Let `loaded` decide for its domain from now on."""
        self._champions[loaded.domain] = loaded

    def set_canary(self, domain: str, canary: Canary | None) -> None:
        """Let a challenger decide for a share of the units, or none any more."""
        if canary is None:
            self._canaries.pop(domain, None)
        else:
            self._canaries[domain] = canary

    def report(self, domain: str, problem: str | None) -> None:
        """Note what is wrong with `domain`, or that nothing is."""
        if problem is None:
            self._problems.pop(domain, None)
        else:
            self._problems[domain] = problem
