"""A little live traffic behind `make run`: what each domain says happens now, sent to its endpoint as it happens."""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import httpx

from headgate.contract.demonstration import Call, Play
from headgate.domain import Domain
from headgate.errors import HeadgateError
from headgate.servers import authorization, running
from headgate.settings import Settings

log = logging.getLogger(__name__)

#: At most so many requests a second of one domain: a demonstration must not disturb.
MOST = 5.0

#: Seconds that an answer may take; that the end of the traffic waits for a request under way; and between two tries of
#: a server that is away, at first and at most.
ANSWER, END, FIRST, LONGEST = 10.0, 1.0, 0.5, 10.0

#: Seconds by which a request may be late; what is later is left out.
LATE = 30.0


@contextmanager
def flowing(settings: Settings, plays: Sequence[tuple[Domain, Play]]) -> Iterator[None]:
    """Send the traffic of every domain that has some while the block runs."""
    stopped = threading.Event()
    threads = [
        threading.Thread(
            target=send_traffic,
            args=(settings, domain.name, lambda make=make, play=play: make(settings, play), stopped),
            name=f"headgate-traffic-{domain.name}",
            daemon=True,  # an answer that is waited for keeps nobody from stopping
        )
        for domain, play in plays
        if (make := domain.demonstration.traffic)
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stopped.set()
        for thread in threads:
            thread.join(END)


def send_traffic(settings: Settings, domain: str, make: Callable[[], Iterator[Call]], stopped: threading.Event) -> None:
    """Send what `make` yields, each at its time, until `stopped`. A fault ends the traffic with a line in the log."""
    try:
        with httpx.Client(timeout=ANSWER, trust_env=False, headers=authorization()) as client:
            sender = _Sender(settings, client, stopped)
            for call in make():
                if stopped.wait(max(call.at - time.time(), 0)):
                    return
                sender.send(call)
                if stopped.wait(1 / MOST):
                    return
    except HeadgateError as error:
        log.warning("%s: the live traffic of the demonstration ends: %s", domain, error)
    except Exception:
        log.exception("%s: the live traffic of the demonstration ends by a fault", domain)


class _Sender:
    """Posts to the decision server, wherever it is; one that is away is asked less and less often."""

    def __init__(self, settings: Settings, client: httpx.Client, stopped: threading.Event) -> None:
        self._settings, self._client, self._stopped = settings, client, stopped
        self._address: str | None = None  # where it was found
        self._pause = FIRST
        self._told = False  # that a request was refused for what it is

    def send(self, call: Call) -> None:
        """Post `call`, as long as it is not too late for it and nobody has stopped.

        Raises HeadgateError where requests of this kind are not let in.
        """
        while time.time() - call.at <= LATE and not self._stopped.is_set():
            if self._posted(call):
                self._pause = FIRST
                return
            self._stopped.wait(self._pause)
            self._pause = min(2 * self._pause, LONGEST)

    def _posted(self, call: Call) -> bool:
        """Whether a server took `call`, or refused it for what it is."""
        try:
            self._address = self._address or running(self._settings).get("headgate")
            if self._address is None:
                return False
            answer = self._client.post(f"{self._address}{call.path}", content=call.body)
        except httpx.HTTPError:  # it is starting, or gone: looked for again
            self._address = None
            return False
        status = answer.status_code
        if status in (401, 403):
            raise HeadgateError("the endpoints ask for a token with the scope `decide`: set HEADGATE_TOKEN.")
        if status == 429 or status >= 500:
            return False
        if status >= 400 and not self._told:
            self._told = True
            log.warning("%s: requests of the live traffic are refused: %s", call.path, answer.text[:300])
        return True
