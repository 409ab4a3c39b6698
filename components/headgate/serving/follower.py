"""Follows the registry: where an alias moved, the version is fetched, verified, loaded, tried, and then swapped in.

One thread asks one question a second for all domains. Whatever fails, what is loaded goes on deciding, and it is said:
in the log, in `Slots.problem`, and in a gauge.
"""

import logging
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING

from headgate.errors import HeadgateError
from headgate.files import read_json, write_json
from headgate.registry import bundle as bundles
from headgate.registry import versions
from headgate.registry.golden import agrees
from headgate.serving import metrics
from headgate.serving.slots import Loaded, Slots
from headgate.settings import Settings

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from headgate.domain import Domain

log = logging.getLogger(__name__)

#: Seconds between two looks at the registry.
PERIOD = 1.0

#: Seconds until a version that failed is tried again, where its alias has not moved meanwhile.
PATIENCE = 60.0


class Follower:
    """Keeps `slots` at what the aliases of `domains` point to."""

    def __init__(
        self,
        slots: Slots,
        domains: Sequence["Domain"],
        settings: Settings,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`clock` counts seconds."""
        self._slots, self._domains, self._settings, self._clock = slots, domains, settings, clock
        self._registry: MlflowClient | None = None
        self._settled: dict[str, int] = {}  # by domain, the version last seen in place since the registry answers
        self._failed: dict[str, tuple[int | None, float]] = {}  # by domain, what failed and when to try it again
        self._stopped = Event()
        self._thread = Thread(target=self._run, name="headgate-follower", daemon=True)

    def start(self) -> None:
        """Look once a period from now on, in a thread of its own."""
        self._thread.start()

    def stop(self) -> None:
        """Stop looking. A look that hangs in the network is left behind: it ends with the process."""
        self._stopped.set()
        self._thread.join(timeout=5)

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                self.look()
            except Exception:  # a fault of ours must not end the following
                log.exception("a look at the registry failed")
            self._stopped.wait(PERIOD)

    def look(self) -> None:
        """Look once: put in place what the aliases point to, or say why not."""
        try:
            if self._registry is None:
                self._registry = _connect(self._settings)
                self._settled.clear()  # it may be another registry, or a restored one
                self._failed.clear()
            champions = _champions(self._registry)
        except Exception as error:
            self._registry = None
            for domain in self._domains:
                self._do_without_registry(domain, _words(error))
            return
        for domain in self._domains:
            self._follow(self._registry, domain, champions.get(domain.name))

    def _follow(self, registry: "MlflowClient", domain: "Domain", number: int | None) -> None:
        """Put version `number` in place, if that is not so already."""
        if number is None:
            self._settled.pop(domain.name, None)
            self._say(
                domain, f"{domain.name} has no {versions.CHAMPION} in the registry: `headgate retrain` makes one."
            )
        elif self._settled.get(domain.name) == number:
            self._settle(domain, number)
        elif self._may_try(domain, number):
            try:
                self._put(domain, registry, number)
            except Exception as error:
                self._failed[domain.name] = (number, self._clock() + PATIENCE)
                self._say(domain, f"Version {number} is {versions.CHAMPION} but not served: {_words(error)}")
            else:
                self._settle(domain, number)

    def _settle(self, domain: "Domain", number: int) -> None:
        self._settled[domain.name] = number
        self._failed.pop(domain.name, None)
        self._say(domain, None)

    def _put(self, domain: "Domain", registry: "MlflowClient", number: int) -> None:
        version = versions.find(registry, domain.name, str(number))
        if not version.bundle:
            raise HeadgateError(f"it has no tag {versions.TAG_BUNDLE}, so Headgate did not register it.")
        loaded = self._slots.champion(domain.name)
        if loaded is None or (loaded.version, loaded.bundle) != (number, version.bundle):
            self._swap(_load(domain, number, versions.fetch(version, self._settings)))

    def _do_without_registry(self, domain: "Domain", why: str) -> None:
        """Go on with what is loaded; where nothing is, with what this machine served last."""
        memory = self._memory(domain.name)
        if self._slots.champion(domain.name) is None and memory.is_file() and self._may_try(domain, None):
            try:
                last = read_json(memory)
                folder = self._settings.bundles / last["bundle"]
                bundles.verify(folder, last["bundle"])
                self._swap(_load(domain, last["version"], folder))
            except Exception as error:
                self._failed[domain.name] = (None, self._clock() + PATIENCE)
                log.error("%s: what was served last cannot be loaded: %s", domain.name, _words(error))
        loaded = self._slots.champion(domain.name)
        goes_on = f"Version {loaded.version} goes on deciding" if loaded else "Nothing is loaded"
        self._say(domain, f"{goes_on}, not following the registry: {why}")

    def _may_try(self, domain: "Domain", number: int | None) -> bool:
        failed, again = self._failed.get(domain.name, (None, 0.0))
        return number != failed or self._clock() >= again

    def _swap(self, loaded: Loaded) -> None:
        self._slots.crown(loaded)
        metrics.VERSION.labels(loaded.domain).set(loaded.version)
        metrics.SWAPS.labels(loaded.domain).inc()
        log.info("%s: version %d decides", loaded.domain, loaded.version)
        try:
            write_json(self._memory(loaded.domain), {"version": loaded.version, "bundle": loaded.bundle})
        except OSError as error:
            log.error("%s: a restart without the registry would not know this version: %s", loaded.domain, error)

    def _memory(self, domain: str) -> Path:
        """The file that says what this machine served last."""
        return self._settings.home / "serving" / f"{domain}.json"

    def _say(self, domain: "Domain", problem: str | None) -> None:
        """Report a problem, or its end, when it is new."""
        metrics.PROBLEM.labels(domain.name).set(problem is not None)
        if problem != self._slots.problem(domain.name):
            self._slots.report(domain.name, problem)
            log.log(logging.ERROR if problem else logging.INFO, "%s: %s", domain.name, problem or "all is well again")


def _connect(settings: Settings) -> "MlflowClient":
    """A client of the registry. Asking must not make one."""
    if not versions.exist(settings):
        raise HeadgateError("There is no registry yet: `headgate retrain` makes one.")
    return versions.client(settings)


def _champions(registry: "MlflowClient") -> dict[str, int]:
    """The number of each model's champion, for all models that have one."""
    found, token = {}, None
    while True:
        page = registry.search_registered_models(max_results=100, page_token=token)
        found.update({m.name: int(m.aliases[versions.CHAMPION]) for m in page if versions.CHAMPION in m.aliases})
        token = page.token
        if not token:
            return found


def _load(domain: "Domain", number: int, bundle: Path) -> Loaded:
    """The version in the verified folder `bundle`, loaded and held against its golden answers, which warms it too."""
    predictor = domain.load(bundle)
    agrees(bundle, predictor)
    return Loaded(domain.name, number, bundles.bundle_id(bundle), predictor, datetime.now(UTC))


def _words(error: Exception) -> str:
    """One line about `error`."""
    text = " ".join(str(error).split())[:300]
    return text if isinstance(error, HeadgateError) else f"{type(error).__name__}: {text}"
