"""Read-only lookups from a cache that refreshes behind the requests: an account's RFM, a campaign's advertiser.

A request is answered from memory, whatever the database does: with what is known, or with None. What is not known, or
was asked more than a minute ago, is put on a list, and one thread asks the database for many keys at once. That a key
is nowhere is remembered like a value. When tables are loaded anew, all that was known is forgotten, and what was used
last is asked for first. List and memory are bounded: what finds no place is asked for at a later request.
"""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import islice
from threading import Event, Lock, Thread
from typing import Generic, TypeVar

from headgate.contract.companions import InForce
from headgate.domains.adclicks.companions.lookup_tables import LONGEST, Database, Name, stored_keys, words_of
from headgate.serving import metrics
from headgate.settings import Settings

log = logging.getLogger(__name__)

#: Keys of a table that are remembered, and that can wait to be asked for.
REMEMBERED, WAITING = 100_000, 10_000

#: Keys of one question: a millisecond's work at most, since requests wait for the interpreter meanwhile.
TOGETHER = 100

#: Seconds after which a value is asked for again.
FRESH = 60.0

#: Seconds between two questions, so that keys gather; and after one that failed.
PACE, PAUSE = 0.02, 1.0

#: Seconds between two looks whether other tables are in force, where nobody asks for anything.
GLANCE = 0.25

#: Seconds after which a question without an answer is held for one that failed.
PATIENCE = 5.0

V = TypeVar("V")


class Lookups:
    """The lookups of one process. `start` it before the first request, or enter `beside`."""

    def __init__(
        self,
        settings: Settings,
        *,
        current: Callable[[], InForce | None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
        remembered: int = REMEMBERED,
        waiting: int = WAITING,
    ) -> None:
        """`current` is the load in force; `clock` counts seconds.

        Raises UsageError where HEADGATE_LOOKUPS names no database that is known.
        """
        self._database, self._stored, self._clock = Database(settings), stored_keys(settings), clock
        self._rfm: _Memory[int] = _Memory("accounts", remembered, waiting)
        self._advertiser: _Memory[str] = _Memory("campaigns", remembered, waiting)
        self._current = current
        self.companion = ""  # how the log names the load whose values are answered
        self._asking: float | None = None  # since when the database has been thinking
        self._away = False
        self._work, self._stopped = Event(), Event()
        self._thread = Thread(target=self._run, name="headgate-lookups", daemon=True)
        metrics.LOOKUPS_AWAY.set(0)

    def rfm(self, user_id: str) -> int | None:
        """Recency + frequency + monetary quintiles (3 … 15) of an account, or None. Never waits and never raises."""
        return self._get(self._rfm, user_id)

    def advertiser(self, campaign: str) -> str | None:
        """Who pays for a campaign, or None. Never waits and never raises."""
        return self._get(self._advertiser, campaign)

    def _get(self, memory: "_Memory[V]", name: str) -> V | None:
        now = self._clock()
        value, wanted = memory.get(self._stored[memory.table](name), now)
        if wanted:
            if not self._work.is_set():
                self._work.set()
            if self._asking is not None and now - self._asking > PATIENCE:
                self._say(f"it has not answered for {PATIENCE:.0f} seconds")
        return value

    def renew(self) -> None:
        """Forget what is known where other tables are in force. For the thread that asks."""
        held = self._current()
        entry = held.entry if held else ""
        if entry != self.companion:
            self._rfm.forget()
            self._advertiser.forget()
            self.companion = entry

    def refresh(self) -> bool:
        """Ask once, in one query a table, for keys that wait; whether the database answered. For one thread."""
        self._asking = self._clock()
        try:
            for memory in (self._rfm, self._advertiser):
                if keys := memory.waiting():
                    memory.learn(keys, self._database.ask(memory.table, keys), self._clock())
        except Exception as error:  # whatever it is, requests go on and it is tried again
            self._say(words_of(error))
            return False
        finally:
            self._asking = None
        self._say(None)
        return True

    def start(self) -> None:
        """Ask for what is wanted from now on, in a thread of its own."""
        self._thread.start()

    def stop(self) -> None:
        """Stop asking. A question that hangs in the network is left behind: it ends with the process."""
        self._stopped.set()
        self._work.set()
        self._thread.join(timeout=PATIENCE)
        if not self._thread.is_alive():
            self._database.close()

    @asynccontextmanager
    async def beside(self) -> AsyncIterator[None]:
        """Started before the block and stopped after it: for `Host.beside`."""
        self.start()
        try:
            yield
        finally:
            await asyncio.to_thread(self.stop)

    def _run(self) -> None:
        while not self._stopped.is_set():
            self._work.wait(GLANCE)
            self._work.clear()
            self.renew()
            while (self._rfm.waiting() or self._advertiser.waiting()) and not self._stopped.is_set():
                self._stopped.wait(PACE if self.refresh() else PAUSE)
                self.renew()

    def _say(self, problem: str | None) -> None:
        """Report that the database is away, or back, when it is new."""
        if (problem is not None) == self._away:
            return
        self._away = problem is not None
        metrics.LOOKUPS_AWAY.set(self._away)
        if problem is None:
            log.info("the lookups' database answers again")
        else:
            log.error("the lookups' database is away (%s): what is known goes on being answered", problem)


class _Memory(Generic[V]):
    """What is known of one table, the least recently used first, and the keys that are to be asked for.

    One lock, never held while anything is waited for.
    """

    def __init__(self, table: Name, remembered: int, waiting: int) -> None:
        self.table = table
        self._remembered, self._most = remembered, waiting
        self._known: OrderedDict[str, tuple[V | None, float]] = OrderedDict()  # value, and when it was asked for
        self._waiting: dict[str, None] = {}
        self._lock = Lock()

    def get(self, key: str, now: float) -> tuple[V | None, bool]:
        """What is known of `key`, and whether the key waits to be asked for."""
        with self._lock:
            value, at = self._known.get(key, (None, None))
            if at is not None:
                self._known.move_to_end(key)
                if now - at < FRESH:
                    return value, False
            if key in self._waiting:
                return value, True
            if len(self._waiting) >= self._most or not _can_be_asked(key):
                return value, False
            self._waiting[key] = None
            return value, True

    def waiting(self) -> Sequence[str]:
        """The keys that have waited longest, as many as are asked for at once."""
        with self._lock:
            return list(islice(self._waiting, TOGETHER))

    def forget(self) -> None:
        """Know nothing any more, and ask anew for the keys that were used last."""
        with self._lock:
            known, self._known = self._known, OrderedDict()
            wanted = {**self._waiting, **dict.fromkeys(islice(reversed(known), self._most))}
            self._waiting = dict.fromkeys(islice(wanted, self._most))
        del known  # what it takes to let go of it, no request waits for

    def learn(self, keys: Sequence[str], found: Mapping[str, V], now: float) -> None:
        """Remember what was `found` of `keys`, and that the others are nowhere."""
        for key in keys:
            with self._lock:  # for each anew: a request waits for one key at most
                self._known[key] = found.get(key), now
                del self._waiting[key]
                if len(self._known) > self._remembered:
                    self._known.popitem(last=False)


def _can_be_asked(key: str) -> bool:
    """Whether a table could have `key`. One that no database takes would fail the others of its question for ever."""
    try:
        return len(key) <= LONGEST and b"\0" not in key.encode()
    except UnicodeEncodeError:  # half of a surrogate pair
        return False
