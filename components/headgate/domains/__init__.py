"""One folder a domain, every one the same few files. This dict of names is all there is to register."""

from typing import TYPE_CHECKING

from headgate.errors import UsageError

if TYPE_CHECKING:
    from headgate.domain import Domain

NAMES = ("adclicks", "capacity")


def get(name: str) -> "Domain":
    """The domain called `name`; imports no other."""
    if name == "adclicks":
        from headgate.domains.adclicks.domain import ADCLICKS

        return ADCLICKS
    if name == "capacity":
        from headgate.domains.capacity.domain import CAPACITY

        return CAPACITY
    raise UsageError(f"There is no domain {name!r}; there are: {', '.join(NAMES)}.")
