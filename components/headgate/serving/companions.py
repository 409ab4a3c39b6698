"""Follows the companions of the domains that are served: about once a second it is asked which are in force.

A thread of its own reads what is new, so requests never wait for it. What cannot be read leaves the one before in
force, and that is said: in the log, in `/v1/models`, and in a gauge.
"""

import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING

from headgate.contract.companions import Companion, Companions, InForce
from headgate.errors import in_a_line
from headgate.serving import metrics
from headgate.settings import Settings

if TYPE_CHECKING:
    from headgate.domain import Domain

log = logging.getLogger(__name__)

#: Seconds between two looks, and that the first may take before requests are accepted all the same.
PERIOD, FIRST = 1.0, 15.0


class CompanionFollower:
    """Keeps `companions` at what the companions of `domains` are."""

    def __init__(self, domains: "Sequence[Domain]", settings: Settings) -> None:
        """Nothing is read before `start`, or a `look`."""
        self.companions = Companions(self.look)
        self._domains = {domain.name: domain.companions for domain in domains if domain.companions}
        self._settings = settings
        self._lock = Lock()  # who refreshes after a change must not be overtaken by a look that began before it
        self._stopped, self._looked = Event(), Event()
        self._thread: Thread | None = None

    def start(self) -> None:
        """Follow from now on, in a thread of its own."""
        self._stopped.clear()
        self._thread = Thread(target=self._run, name="headgate-companions", daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Until the first look is over, or has taken too long."""
        self._looked.wait(FIRST)

    def stop(self) -> None:
        """Stop following. A look that hangs in the network is left behind: it ends with the process."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join(timeout=5)

    def _run(self) -> None:
        while not self._stopped.is_set():
            for domain in self._domains:
                try:
                    self.look(domain)
                except Exception:  # a fault of ours must not end the following
                    log.exception("a look at the companions of %s failed", domain)
            self._looked.set()
            if not self._domains:
                return
            self._stopped.wait(PERIOD)

    def look(self, domain: str) -> None:
        """Look once at all companions of `domain`, and put what is new in force, together."""
        with self._lock:
            before, now = self.companions.of(domain), {}
            for companion in self._domains.get(domain, ()):
                held = self._current(domain, companion, before.get(companion.name))
                if held is not None:
                    now[companion.name] = held
            if now != before:
                self.companions.put(domain, now)

    def _current(self, domain: str, companion: Companion, before: InForce | None) -> InForce | None:
        """What is in force of a companion: `before` where nothing has changed, or what has cannot be read."""
        try:
            identity = companion.identify(self._settings)
            held = before
            if identity is None:
                held = None
            elif before is None or before.id != identity:
                value = companion.read(self._settings)
                if companion.identify(self._settings) != identity:
                    return before  # it changes at this moment: the next look finds it whole
                held = InForce(companion.name, identity, value, datetime.now(UTC))
        except Exception as error:
            goes_on = f"{companion.title} {before.id} stays in force" if before else f"No {companion.title} is in force"
            self._report(domain, companion, f"{goes_on}: {in_a_line(error)}")
            return before
        self._report(domain, companion, None)
        if held is not before:
            metrics.COMPANION_SWAPS.labels(domain, companion.name).inc()
            log.info("%s: %s %s is in force", domain, companion.title, held.id if held else "of the version's own")
        return held

    def _report(self, domain: str, companion: Companion, problem: str | None) -> None:
        """Report a problem, or its end, when it is new."""
        metrics.COMPANION_PROBLEM.labels(domain, companion.name).set(problem is not None)
        if problem != self.companions.problem(domain, companion.name):
            self.companions.report(domain, companion.name, problem)
            log.log(logging.ERROR if problem else logging.INFO, "%s: %s", domain, problem or "all is well again")
