"""What a run measured of every request."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: What stands in `Measured.status` where there is no HTTP status.
UNSENT, LOST, LATE, DROPPED, GARBLED = 0, -1, -2, -3, -4

FAILURES = {
    LOST: "connection lost before the answer",
    LATE: "no answer in time",
    DROPPED: "dropped, since too many waited for a connection",
    GARBLED: "an answer that is not HTTP",
}


def view(values: NDArray[Any]) -> Any:
    """`values` one by one, read and written ten times quicker than through NumPy."""
    return memoryview(np.ascontiguousarray(values))  # type: ignore[arg-type]  # NumPy's types do not tell


@dataclass
class Measured:
    """The n requests of a run, in the order in which they were due; times in seconds.

    `latency` runs from the instant at which a request was due to the last byte of its answer, however late it was
    sent: a server that stalls makes every request late that falls due meanwhile, and a generator that waited for its
    answers would see one. NaN where there was no answer.
    """

    due: NDArray[np.float64]  # from the start
    waited: NDArray[np.float32]  # from due to sent; NaN where it was not sent
    latency: NDArray[np.float32]
    status: NDArray[np.int16]  # of HTTP, or one of the names above
    pending: NDArray[np.int16]  # decisions in the answer that were given by default
    seconds: float = 0.0  # from the start until nothing more could come
    cpu: float = 0.0  # of the generator's process
    bytes_sent: int = 0
    bytes_received: int = 0
    connections: int = 0  # that were opened
    interrupted: bool = False
    ended_early: bool = False  # by a limit: of what is not sent none fell due
    started: float = field(default=0.0)  # since the epoch

    @classmethod
    def nothing(cls, due: NDArray[np.float64]) -> "Measured":
        """Room for requests that are `due`."""
        n = len(due)
        unknown = np.full(n, np.nan, np.float32)
        return cls(due, unknown, unknown.copy(), np.zeros(n, np.int16), np.zeros(n, np.int16))

    @property
    def good(self) -> NDArray[np.bool_]:
        """Which requests [n] were answered with a 2xx."""
        return (self.status >= 200) & (self.status < 300)

    @property
    def failed(self) -> int:
        """Requests that were due and not answered with a 2xx; what an interruption left unsent is not among them."""
        return int(((self.status != UNSENT) & ~self.good).sum())

    def failures(self) -> dict[str, int]:
        """How many requests failed, by why, the commonest first."""
        statuses, counts = np.unique(self.status[(self.status != UNSENT) & ~self.good], return_counts=True)
        told = {FAILURES.get(int(s), f"HTTP {s}"): int(n) for s, n in zip(statuses, counts, strict=True)}
        return dict(sorted(told.items(), key=lambda item: -item[1]))
