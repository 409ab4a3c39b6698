"""How many requests a second a caller may send."""

from collections import OrderedDict
from ipaddress import ip_network
from math import ceil

#: A caller who was idle may send so many seconds' worth at once.
BURST_SECONDS = 2.0

#: Most callers that are remembered; of more, those idle longest start anew.
MAX_CALLERS = 100_000


class Rate:
    """A token bucket for each caller, as the instant at which it will be full again (GCRA).

    One number a caller, and none for those whose bucket is full: idle callers cost nothing.
    """

    def __init__(self, per_second: float) -> None:
        """Let each caller send `per_second` requests a second, and `BURST_SECONDS` worth of them at once."""
        self._every = 1 / per_second
        self._slack = max(BURST_SECONDS - self._every, 0.0)  # a full bucket holds at least one request
        self._full_at: OrderedDict[str, float] = OrderedDict()

    def wait(self, caller: str, now: float) -> float:
        """Take one of `caller`'s requests at `now`, in seconds; the seconds to wait where none is left, else 0."""
        full_at = max(self._full_at.get(caller, now), now)
        if (early := full_at - now - self._slack) > 1e-9:
            return early
        self._full_at[caller] = full_at + self._every
        self._full_at.move_to_end(caller)
        while len(self._full_at) > MAX_CALLERS or next(iter(self._full_at.values())) <= now:
            self._full_at.popitem(last=False)
        return 0.0


def retry_after(seconds: float) -> str:
    """A value for the header `Retry-After`: whole seconds, at least one."""
    return str(max(ceil(seconds), 1))


def neighbourhood(address: str) -> str:
    """What a client can hardly leave: its IPv4 address, or the /64 of its IPv6 address."""
    return str(ip_network((address.partition("%")[0], 64), strict=False)) if ":" in address else address
