"""What a serving process gives to routes, for tests that need no process."""

from collections.abc import Sequence

from headgate import settings
from headgate.contract.host import Host
from headgate.contract.row import Recorder, Row
from headgate.contract.slots import Slots
from headgate.decisions.recorder import Ids


class NoLog:
    """A recorder that keeps nothing."""

    def __init__(self) -> None:
        self.ids = Ids()

    def record(self, domain: str, rows: Sequence[Row]) -> None:
        pass


def host(slots: Slots, recorder: Recorder | None = None) -> Host:
    """Whatever is loaded in `slots`, with the settings of the environment."""
    return Host(slots, recorder or NoLog(), settings.load())
