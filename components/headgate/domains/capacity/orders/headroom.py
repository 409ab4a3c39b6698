"""The one ledger of headroom: every reason to have more than the forecast says, each applied once and shown.

How a reason acts is fixed by its name, and no value can change it: utilisation and burst are factors on the load;
the quantile is carried by scenarios, the loss of a zone by a constraint, and so neither is ever a factor. A load that
was multiplied is a `Need`, which cannot be multiplied again.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from headgate.domains.capacity.orders.fleet import Fleet

Floats = NDArray[np.float64]

Name = Literal["utilisation", "burst", "quantile", "zone loss"]
Carried = Literal["factor", "scenarios", "constraint"]

#: What carries each reason. A ledger holds exactly these.
CARRIED: Mapping[str, Carried] = MappingProxyType(
    {"utilisation": "factor", "burst": "factor", "quantile": "scenarios", "zone loss": "constraint"}
)


@dataclass(frozen=True)
class Load:
    """What a series says: units of its metric in one of its steps."""

    values: Floats


@dataclass(frozen=True)
class Need:
    """What instances must be able to carry when full: a load with every factor on it."""

    values: Floats


@dataclass(frozen=True)
class Item:
    """One reason for headroom."""

    name: Name
    value: float  # as a multiple of the load; of the quantile, the quantile
    why: str

    @property
    def carried(self) -> Carried:
        """What applies it."""
        return CARRIED[self.name]


@dataclass(frozen=True)
class Headroom:
    """The ledger of one service."""

    items: tuple[Item, ...]

    def __post_init__(self) -> None:
        """Refuse a reason that is there twice, or is missing."""
        if sorted(item.name for item in self.items) != sorted(CARRIED):
            raise ValueError(f"headroom has each of {', '.join(CARRIED)} once, not {[i.name for i in self.items]}")

    @property
    def factor(self) -> float:
        """What a load is multiplied with."""
        return float(np.prod([item.value for item in self.items if item.carried == "factor"]))

    def need(self, load: Load) -> Need:
        """The load with every factor applied. Raises TypeError for what was multiplied already."""
        if not isinstance(load, Load):
            raise TypeError(f"headroom is applied to a Load once, not to a {type(load).__name__}")
        return Need(load.values * self.factor)


def add_headroom(fleet: Fleet, service: str) -> Headroom:
    """The ledger of a service of the fleet."""
    told = fleet.services[service]
    zones = len(fleet.regions[told.region])
    loss = zones / (zones - 1) if zones > 1 and told.floor else 1.0
    return Headroom(
        (
            Item("utilisation", 1 / told.utilisation, f"instances get {100 * told.utilisation:g} % full at most"),
            Item("burst", told.burst, "the highest second of a step over its mean"),
            Item(
                "quantile",
                fleet.shortage.quantile,
                f"the floor is {100 * told.floor:g} % of this quantile of the week's highest step; above it missing "
                "units have a price",
            ),
            Item(
                "zone loss",
                loss,
                f"{zones} zones, of which any {zones - 1} keep the floor" if told.floor else "no floor",
            ),
        )
    )
