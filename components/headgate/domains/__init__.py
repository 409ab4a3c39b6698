"""One folder a domain, every one the same few files. This dict of names is all there is to register."""

from importlib import import_module
from typing import TYPE_CHECKING

from headgate.errors import UsageError

if TYPE_CHECKING:
    from headgate.domain import Domain, Live

NAMES = ("adclicks", "capacity")


def get(name: str) -> "Domain":
    """The domain called `name`, from ``headgate.domains.NAME.domain.NAME``; imports no other."""
    if name not in NAMES:
        raise UsageError(f"There is no domain {name!r}; there are: {', '.join(NAMES)}.")
    module = import_module(f"headgate.domains.{name}.domain")
    domain: Domain = getattr(module, name.upper())
    return domain


def live(name: str) -> "Live":
    """What `name` supplies of its live decisions; UsageError if nothing of it is logged."""
    found = get(name).live
    if found is None:
        raise UsageError(f"{name} logs no decisions, so there are none to read, watch or decide again.")
    return found
