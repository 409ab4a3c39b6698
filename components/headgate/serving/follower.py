"""Follows the registry: where an alias moved, the version is fetched, verified, loaded, tried, and then swapped in.

One thread asks one question every five seconds for all domains, and at once when the ledger has grown. Champion,
previous and challenger stay loaded, so that a rollback is a swap of one reference. What a person moves takes effect
when the registrar has written it down: so two changes in a row are seen in their order everywhere. Without a registrar
it takes effect a little later. Only a version that the ledger lets serve is swapped in. Whatever fails, what is loaded
goes on deciding, and it is said: in the log, in `Slots.problem`, and in a gauge.
"""

import gc
import logging
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING

from headgate.contract.slots import Canary, Loaded, Slots
from headgate.errors import HeadgateError
from headgate.files import read_json, write_json
from headgate.registry import bundles, versions
from headgate.registry.aliases import Aliases, read_aliases
from headgate.registry.golden import agrees
from headgate.registry.ledger import Ledger
from headgate.registry.ledger_state import LedgerState, state_of
from headgate.serving import metrics
from headgate.settings import Settings

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from headgate.domain import Domain

log = logging.getLogger(__name__)

#: Seconds between two looks at the registry, and between two glances at the ledger's head. The registrar tells the
#: ledger of every change within a moment, so it is the glances that make a rollback quick; a look costs much more.
PERIOD, GLANCE = 5.0, 0.1

#: Seconds that the first look may take before requests are accepted all the same.
FIRST = 15.0

#: Seconds that the registrar has to write down where an alias was moved to.
GRACE = 3.0

#: Seconds until a version that failed is tried again, where its alias has not moved meanwhile.
PATIENCE = 60.0

#: Versions of a domain that stay loaded: champion, previous, challenger, and the one that was champion last.
WARM = 4


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
        self._ledger: Ledger | None = None
        self._states: dict[str, LedgerState] = {}  # by domain, as of `_head`
        self._head: int | None = None  # of the ledger, when it was read last
        self._mark: object = None  # of the ledger, when its head was read last
        self._differs: dict[
            str, tuple[int, float]
        ] = {}  # by domain, an alias that the ledger does not tell, since when
        self._settled: dict[str, int] = {}  # by domain, the version last seen in place since the registry answers
        self._warm: dict[str, dict[int, Loaded]] = {}  # by domain, what is loaded, the latest used last
        self._failed: dict[tuple[str, str], tuple[int | None, float]] = {}  # by domain and alias: what, and until when
        self._stopped, self._looked = Event(), Event()
        self._thread = Thread(target=self._run, name="headgate-follower", daemon=True)

    def start(self) -> None:
        """Look from now on, in a thread of its own."""
        self._thread.start()

    def wait(self) -> None:
        """Until the first look is over, or has taken too long: who accepts requests before could only answer 503."""
        self._looked.wait(FIRST)

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
            self._looked.set()
            again = time.monotonic() + PERIOD
            while not self._stopped.wait(GLANCE) and time.monotonic() < again and not self._grown():
                pass

    def _grown(self) -> bool:
        """Whether the ledger has grown since the last look."""
        try:
            if self._ledger is None or self._ledger.mark() == self._mark:
                return False
            return self._newest(self._ledger) != self._head  # what was written may be a lease
        except HeadgateError:
            return False

    def _newest(self, ledger: Ledger) -> int:
        self._mark = ledger.mark()  # before the head: what is written between the two shows at the next glance
        head = ledger.head()
        return head.seq if head else 0

    def look(self) -> None:
        """Look once: put in place what the aliases point to, or say why not; then warm one that could be next."""
        try:
            if self._registry is None:
                self._registry = _connect(self._settings)
                self._settled.clear()  # it may be another registry, or a restored one
                self._failed.clear()
            found = read_aliases(self._registry)
            self._read_ledger()
        except Exception as error:
            self._registry = None
            for domain in self._domains:
                self._do_without_registry(domain, _words(error))
            return
        for domain in self._domains:
            self._follow(self._registry, domain, found.get(domain.name, Aliases({}, 0.0)))
        for domain in self._domains:
            if self._warm_one(self._registry, domain, found.get(domain.name, Aliases({}, 0.0))):
                break  # one a look: a champion that moves meanwhile must not wait for more

    def _follow(self, registry: "MlflowClient", domain: "Domain", posts: Aliases) -> None:
        """Put the champion in place, if that is not so already, and the canary."""
        number = posts.of(versions.CHAMPION)
        if number is None:
            self._settled.pop(domain.name, None)
            self._say(
                domain, f"{domain.name} has no {versions.CHAMPION} in the registry: `headgate retrain` makes one."
            )
        elif self._settled.get(domain.name) == number:
            self._settle(domain, number)
        elif self._may_try(domain, versions.CHAMPION, number) and not self._registrar_will_say(domain, number):
            try:
                loaded = self._load(domain, registry, number)
                current = self._slots.champion(domain.name)
                if current is None or (current.version, current.bundle) != (number, loaded.bundle):
                    self._swap(loaded)
            except Exception as error:
                self._failed[domain.name, versions.CHAMPION] = (number, self._clock() + PATIENCE)
                self._say(domain, f"Version {number} is {versions.CHAMPION} but not served: {_words(error)}")
            else:
                self._settle(domain, number)
        challenger = self._warm.get(domain.name, {}).get(posts.of(versions.CHALLENGER) or 0)
        canary = Canary(challenger, posts.canary) if challenger and posts.canary > 0 else None
        if canary != self._slots.canary(domain.name):
            self._slots.try_out(domain.name, canary)
            log.info("%s: %s", domain.name, f"{canary.loaded.version} decides for {canary.share:g}" if canary else "-")

    def _registrar_will_say(self, domain: "Domain", number: int) -> bool:
        """Whether to wait for the registrar to write down that the alias was moved to `number`, or to put it back."""
        told = self._states.get(domain.name)
        if self._slots.champion(domain.name) is None or (told and told.champion == number):
            self._differs.pop(domain.name, None)
            return False
        seen, since = self._differs.get(domain.name, (None, 0.0))
        if seen != number:
            self._differs[domain.name] = (number, self._clock())
            return True
        return self._clock() < since + GRACE

    def _read_ledger(self) -> None:
        """Read where the domains stand, if the ledger has grown; without it no other version is swapped in."""
        try:
            if self._ledger is None:
                self._ledger = Ledger(self._settings)
            head = self._newest(self._ledger)
            if head != self._head:
                self._states = {d.name: state_of(self._ledger.entries(d.name)) for d in self._domains}
                self._head = head
        except HeadgateError as error:
            self._ledger, self._head, self._states = None, None, {}
            log.warning("%s", error)

    def _warm_one(self, registry: "MlflowClient", domain: "Domain", posts: Aliases) -> bool:
        """Load the previous version or the challenger if it is not; whether something was tried."""
        for alias in (versions.PREVIOUS, versions.CHALLENGER):
            number = posts.of(alias)
            if number is None or number in self._warm.get(domain.name, {}):
                continue
            if not self._may_try(domain, alias, number):
                continue
            try:
                self._load(domain, registry, number)
            except Exception as error:
                self._failed[domain.name, alias] = (number, self._clock() + PATIENCE)
                log.warning("%s: version %d, %s, is not kept warm: %s", domain.name, number, alias, _words(error))
            return True
        return False

    def _settle(self, domain: "Domain", number: int) -> None:
        self._settled[domain.name] = number
        self._failed.pop((domain.name, versions.CHAMPION), None)
        self._say(domain, None)

    def _load(self, domain: "Domain", registry: "MlflowClient", number: int) -> Loaded:
        """Version `number`, warm or freshly loaded, if the ledger lets it serve."""
        told, ready = self._states.get(domain.name), self._warm.get(domain.name, {}).get(number)
        if told and ready and told.may_serve(number, ready.bundle):
            self._warm[domain.name][number] = self._warm[domain.name].pop(number)
            return ready
        version = versions.find(registry, domain.name, str(number))
        if not version.bundle:
            raise HeadgateError(f"it has no tag {versions.TAG_BUNDLE}, so Headgate did not register it.")
        if self._ledger is None:
            raise HeadgateError("the ledger does not answer, and without it nothing else may serve.")
        if not self._states[domain.name].may_serve(number, version.bundle):
            raise HeadgateError("the ledger holds no passed verdict and no override for this bundle.")
        warm = self._warm.setdefault(domain.name, {})
        loaded = warm.pop(number, None)
        if loaded is None or loaded.bundle != version.bundle:
            loaded = _load(domain, number, versions.fetch(version, self._settings))
        warm[number] = loaded
        if len(warm) > WARM:
            del warm[next(iter(warm))]
        return loaded

    def _do_without_registry(self, domain: "Domain", why: str) -> None:
        """Go on with what is loaded; where nothing is, with what this machine served last."""
        memory = self._memory(domain.name)
        if self._slots.champion(domain.name) is None and memory.is_file() and self._may_try(domain, "memory", None):
            try:
                last = read_json(memory)
                folder = self._settings.bundles / last["bundle"]
                bundles.verify(folder, last["bundle"])
                self._swap(_load(domain, last["version"], folder))
            except Exception as error:
                self._failed[domain.name, "memory"] = (None, self._clock() + PATIENCE)
                log.error("%s: what was served last cannot be loaded: %s", domain.name, _words(error))
        loaded = self._slots.champion(domain.name)
        goes_on = f"Version {loaded.version} goes on deciding" if loaded else "Nothing is loaded"
        self._say(domain, f"{goes_on}, not following the registry: {why}")

    def _may_try(self, domain: "Domain", alias: str, number: int | None) -> bool:
        failed, again = self._failed.get((domain.name, alias), (None, 0.0))
        return number != failed or self._clock() >= again

    def _swap(self, loaded: Loaded) -> None:
        self._slots.crown(loaded)
        metrics.VERSION.labels(loaded.domain).set(loaded.version)
        metrics.SWAPS.labels(loaded.domain).inc()
        log.info("%s: version %d decides", loaded.domain, loaded.version)
        gc.freeze()  # what is loaded by now stays: collecting need not look through it while requests wait
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


def _load(domain: "Domain", number: int, bundle: Path) -> Loaded:
    """The version in the verified folder `bundle`, loaded and held against its golden answers, which warms it too."""
    predictor = domain.load(bundle)
    agrees(bundle, predictor)
    return Loaded(domain.name, number, bundles.bundle_id(bundle), predictor, datetime.now(UTC))


def _words(error: Exception) -> str:
    """One line about `error`."""
    text = " ".join(str(error).split())[:300]
    return text if isinstance(error, HeadgateError) else f"{type(error).__name__}: {text}"
