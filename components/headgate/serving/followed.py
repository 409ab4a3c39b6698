"""What one process follows of one domain: which version is in place, which are warm, and what failed."""

import gc
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from headgate.contract.slots import Canary, Loaded, Slots
from headgate.errors import HeadgateError, in_a_line
from headgate.files import read_json, write_json
from headgate.registry import bundles, versions
from headgate.registry.aliases import Aliases
from headgate.registry.golden import agrees
from headgate.registry.ledger_state import LedgerState
from headgate.serving import metrics
from headgate.settings import Settings

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from headgate.domain import Domain

log = logging.getLogger(__name__)

#: Seconds that the registrar has to write down where an alias was moved to.
GRACE = 3.0

#: Seconds until a version that failed is tried again, where its alias has not moved meanwhile.
PATIENCE = 60.0


class Followed:
    """Keeps the slot of `domain` at what its aliases point to. One thread calls its methods."""

    def __init__(
        self, domain: "Domain", slots: Slots, settings: Settings, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`clock` counts seconds."""
        self.domain, self.name = domain, domain.name
        self.state: LedgerState | None = None  # where the ledger says it stands; None while the ledger is away
        self._slots, self._settings, self._clock = slots, settings, clock
        self._differs: tuple[int, float] | None = None  # an alias that the ledger does not tell, since when
        self._settled: int | None = None  # the version last seen in place since the registry answers
        self._warm: dict[int, Loaded] = {}  # what is loaded, the latest used last
        self._failed: dict[str, tuple[int | None, float]] = {}  # by alias: what, and until when

    def begin_anew(self) -> None:
        """Believe nothing that an earlier registry said: this may be another, or a restored one."""
        self._settled = None
        self._failed.clear()

    def follow(self, registry: "MlflowClient", aliases: Aliases) -> None:
        """Put the champion in place, if that is not so already, and the canary."""
        number = aliases.of(versions.CHAMPION)
        if number is None:
            self._settled = None
            self._say(f"{self.name} has no {versions.CHAMPION} in the registry: `headgate retrain` makes one.")
        elif self._settled == number:
            self._settle(number)
        elif self._may_try(versions.CHAMPION, number) and not self._registrar_will_say(number):
            try:
                loaded = self._load(registry, number)
                current = self._slots.champion(self.name)
                if current is None or (current.version, current.bundle) != (number, loaded.bundle):
                    self._swap(loaded)
            except Exception as error:
                self._failed[versions.CHAMPION] = (number, self._clock() + PATIENCE)
                self._say(f"Version {number} is {versions.CHAMPION} but not served: {in_a_line(error)}")
            else:
                self._settle(number)
        challenger = self._warm.get(aliases.of(versions.CHALLENGER) or 0)
        canary = Canary(challenger, aliases.canary) if challenger and aliases.canary > 0 else None
        if canary != self._slots.canary(self.name):
            self._slots.set_canary(self.name, canary)
            log.info("%s: %s", self.name, f"{canary.loaded.version} decides for {canary.share:g}" if canary else "-")

    def warm_one(self, registry: "MlflowClient", aliases: Aliases) -> bool:
        """Load the previous version or the challenger if it is not; whether something was tried."""
        for alias in (versions.PREVIOUS, versions.CHALLENGER):
            number = aliases.of(alias)
            if number is None or number in self._warm or not self._may_try(alias, number):
                continue
            try:
                self._load(registry, number)
            except Exception as error:
                self._failed[alias] = (number, self._clock() + PATIENCE)
                log.warning("%s: version %d, %s, is not kept warm: %s", self.name, number, alias, in_a_line(error))
            return True
        return False

    def do_without_registry(self, why: str) -> None:
        """Go on with what is loaded; where nothing is, with what this machine served last."""
        if self._slots.champion(self.name) is None and self._memory.is_file() and self._may_try("memory", None):
            try:
                last = read_json(self._memory)
                folder = self._settings.bundles / last["bundle"]
                bundles.verify(folder, last["bundle"])
                self._swap(_load(self.domain, last["version"], folder))
            except Exception as error:
                self._failed["memory"] = (None, self._clock() + PATIENCE)
                log.error("%s: what was served last cannot be loaded: %s", self.name, in_a_line(error))
        loaded = self._slots.champion(self.name)
        goes_on = f"Version {loaded.version} goes on deciding" if loaded else "Nothing is loaded"
        self._say(f"{goes_on}, not following the registry: {why}")

    def _registrar_will_say(self, number: int) -> bool:
        """Whether to wait for the registrar to write down that the alias was moved to `number`, or to put it back."""
        if self._slots.champion(self.name) is None or (self.state and self.state.champion == number):
            self._differs = None
            return False
        if self._differs is None or self._differs[0] != number:
            self._differs = (number, self._clock())
            return True
        return self._clock() < self._differs[1] + GRACE

    def _settle(self, number: int) -> None:
        self._settled = number
        self._failed.pop(versions.CHAMPION, None)
        self._say(None)

    def _load(self, registry: "MlflowClient", number: int) -> Loaded:
        """Version `number`, warm or freshly loaded, if the ledger lets it serve."""
        ready = self._warm.get(number)
        if self.state and ready and self.state.may_serve(number, ready.bundle):
            self._warm[number] = self._warm.pop(number)
            return ready
        version = versions.find(registry, self.name, str(number))
        if not version.bundle:
            raise HeadgateError(f"it has no tag {versions.TAG_BUNDLE}, so Headgate did not register it.")
        if self.state is None:
            raise HeadgateError("the ledger does not answer, and without it nothing else may serve.")
        if not self.state.may_serve(number, version.bundle):
            raise HeadgateError("the ledger holds no passed verdict and no override for this bundle.")
        loaded = self._warm.pop(number, None)
        if loaded is None or loaded.bundle != version.bundle:
            loaded = _load(self.domain, number, versions.fetch(version, self._settings))
        self._warm[number] = loaded
        if len(self._warm) > self.domain.limits.runtime.warm:
            del self._warm[next(iter(self._warm))]
        return loaded

    def _may_try(self, alias: str, number: int | None) -> bool:
        failed, again = self._failed.get(alias, (None, 0.0))
        return number != failed or self._clock() >= again

    def _swap(self, loaded: Loaded) -> None:
        self._slots.set_champion(loaded)
        metrics.VERSION.labels(self.name).set(loaded.version)
        metrics.SWAPS.labels(self.name).inc()
        log.info("%s: version %d decides", self.name, loaded.version)
        gc.freeze()  # what is loaded by now stays: collecting need not look through it while requests wait
        try:
            write_json(self._memory, {"version": loaded.version, "bundle": loaded.bundle})
        except OSError as error:
            log.error("%s: a restart without the registry would not know this version: %s", self.name, error)

    @property
    def _memory(self) -> Path:
        """The file that says what this machine served last."""
        return self._settings.home / "serving" / f"{self.name}.json"

    def _say(self, problem: str | None) -> None:
        """Report a problem, or its end, when it is new."""
        metrics.PROBLEM.labels(self.name).set(problem is not None)
        if problem != self._slots.problem(self.name):
            self._slots.report(self.name, problem)
            log.log(logging.ERROR if problem else logging.INFO, "%s: %s", self.name, problem or "all is well again")


def _load(domain: "Domain", number: int, bundle: Path) -> Loaded:
    """The version in the verified folder `bundle`, loaded and held against its golden answers, which warms it too."""
    predictor = domain.load(bundle)
    agrees(bundle, predictor)
    return Loaded(domain.name, number, bundles.bundle_id(bundle), predictor, datetime.now(UTC))
