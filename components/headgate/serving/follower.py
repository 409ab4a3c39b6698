"""Follows the registry: where an alias moved, the version is fetched, verified, loaded, tried, and then swapped in.

One thread asks one question every five seconds for all domains, and at once when the ledger has grown. Champion,
previous and challenger stay loaded, so that a rollback is a swap of one reference. What a person moves takes effect
when the registrar has written it down: so two changes in a row are seen in their order everywhere. Without a registrar
it takes effect a little later. Only a version that the ledger lets serve is swapped in. Whatever fails, what is loaded
goes on deciding, and it is said: in the log, in `Slots.problem`, and in a gauge.
"""

import logging
import time
from collections.abc import Callable, Sequence
from threading import Event, Thread
from typing import TYPE_CHECKING

from headgate.contract.slots import Slots
from headgate.errors import HeadgateError, in_a_line
from headgate.registry import versions
from headgate.registry.aliases import Aliases, read_aliases
from headgate.registry.ledger import Ledger
from headgate.registry.ledger_state import state_of
from headgate.serving.followed import Followed
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
        self._followed, self._settings = [Followed(domain, slots, settings, clock) for domain in domains], settings
        self._registry: MlflowClient | None = None
        self._ledger: Ledger | None = None
        self._head: int | None = None  # of the ledger, when it was read last
        self._mark: object = None  # of the ledger, when its head was read last
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
                for one in self._followed:
                    one.begin_anew()
            found = read_aliases(self._registry)
            self._read_ledger()
        except Exception as error:
            self._registry = None
            for one in self._followed:
                one.do_without_registry(in_a_line(error))
            return
        for one in self._followed:
            one.follow(self._registry, found.get(one.name, Aliases({}, 0.0)))
        for one in self._followed:
            if one.warm_one(self._registry, found.get(one.name, Aliases({}, 0.0))):
                break  # one a look: a champion that moves meanwhile must not wait for more

    def _read_ledger(self) -> None:
        """Read where the domains stand, if the ledger has grown; without it no other version is swapped in."""
        try:
            if self._ledger is None:
                self._ledger = Ledger(self._settings)
            head = self._newest(self._ledger)
            if head != self._head:
                for one in self._followed:
                    one.state = state_of(self._ledger.entries(one.name))
                self._head = head
        except HeadgateError as error:
            self._ledger, self._head = None, None
            for one in self._followed:
                one.state = None
            log.warning("%s", error)


def _connect(settings: Settings) -> "MlflowClient":
    """A client of the registry. Asking must not make one."""
    if not versions.exist(settings):
        raise HeadgateError("There is no registry yet: `headgate retrain` makes one.")
    return versions.client(settings)
