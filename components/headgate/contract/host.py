"""What a serving process gives to the routes of a domain."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field

from headgate.contract.row import Recorder
from headgate.contract.slots import Slots
from headgate.settings import Settings


@dataclass(frozen=True)
class Host:
    """The loaded versions, the decision log and the settings of this process.

    What a domain adds to `beside` is entered before the first request and left after the last one.
    """

    slots: Slots
    recorder: Recorder
    settings: Settings
    beside: list[Callable[[], AbstractAsyncContextManager[None]]] = field(default_factory=list)
