"""One folder a domain, every one the same few files. This dict of names is all there is to register."""

from importlib import import_module
from typing import TYPE_CHECKING

from headgate.errors import UsageError

if TYPE_CHECKING:
    from headgate.domain import Domain

NAMES = ("adclicks", "capacity")


def get(name: str) -> "Domain":
    """The domain called `name`, from ``headgate.domains.NAME.domain.NAME``; imports no other."""
    if name not in NAMES:
        raise UsageError(f"There is no domain {name!r}; there are: {', '.join(NAMES)}.")
    module = import_module(f"headgate.domains.{name}.domain")
    domain: Domain = getattr(module, name.upper())
    return domain
