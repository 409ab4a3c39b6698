"""What a serving process gives to the routes of a domain."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field

from headgate.contract.companions import Companions
from headgate.contract.row import Recorder
from headgate.contract.slots import Slots
from headgate.settings import Settings


@dataclass(frozen=True)
class Host:
    """The loaded versions, the decision log, the settings and the companions of this process.

    What a domain adds to `beside` is entered before the first request and left after the last one.
    """

    slots: Slots
    recorder: Recorder
    settings: Settings
    companions: Companions = field(default_factory=Companions)
    beside: list[Callable[[], AbstractAsyncContextManager[None]]] = field(default_factory=list)
