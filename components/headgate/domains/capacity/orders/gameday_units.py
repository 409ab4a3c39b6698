"""Units from game days: what instances were found to carry takes the place of `units: gameday` in a fleet."""

from pathlib import Path

import msgspec

from headgate.domains.capacity.gameday.report import FOLDER, newest
from headgate.domains.capacity.orders.fleet import Fleet, Service
from headgate.errors import UsageError


def with_units(fleet: Fleet, home: Path) -> Fleet:
    """The fleet with the units that the newest game day of each series found, and where they are from.

    Another type than the one that was tried carries as much more as it is faster. Raises UsageError where a series has
    had no game day, or it tried a type that the fleet does not know.
    """
    services = {
        name: _tried(f"services.{name}.units", service, fleet, home) if service.units == "gameday" else service
        for name, service in fleet.services.items()
    }
    return msgspec.structs.replace(fleet, services=services)


def _tried(where: str, service: Service, fleet: Fleet, home: Path) -> Service:
    found = newest(home, service.series)
    if found is None or found.units is None:
        raise UsageError(
            f"{where}: no game day of {service.series} in {home / FOLDER} has found a limit: `headgate capacity "
            f"gameday --event NAME --target URL --series {service.series} --type TYPE` makes one, or write a number."
        )
    if found.type and found.type not in fleet.types:
        raise UsageError(
            f"{where}: the {found.source()}, which the fleet does not have: add {found.type} to types with its speed."
        )
    units = found.units / (fleet.types[found.type].speed if found.type else 1.0)
    return msgspec.structs.replace(service, units=units, units_from=found.source())
