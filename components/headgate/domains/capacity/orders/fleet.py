"""The fleet as a planner writes it in `fleet.yaml`: where, what may be ordered, for whom, and under which limits."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec

from headgate.errors import UsageError

T = TypeVar("T")

#: Hours of a week: prices are by the hour, plans by the week.
HOURS = 168

#: No number of a fleet is larger, and no time longer: what is, is mistyped, and no solver takes it.
MOST, MOST_WEEKS = 1e12, 520

#: What may stand in fields that take only some words.
MAY = {"units": "a number, a number for each type, or gameday", "measure": "expected or cvar"}


class InstanceType(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What may be ordered. Prices are for an instance and an hour."""

    family: str
    generation: int
    vcpus: int
    on_demand: float
    reserved: float
    speed: float = 1.0  # what a service's `units` are multiplied with
    first_week: date | None = None  # the first day on which it can be had
    lot: int = 1  # reservations come in multiples of it
    lead_weeks: int = 1  # from the plan's first week to the first that a new reservation can begin in
    commitment_weeks: int = 4  # how long a reservation lasts
    platform: str = "Linux/UNIX"


class Service(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whom the fleet is for. Loads are in the unit of the series, for one of its steps."""

    series: str
    region: str
    # what an instance carries when it is full: times its speed, or by type, or what the newest game day found
    units: float | dict[str, float] | Literal["gameday"]
    units_from: str = ""  # where that is from, in words; `gameday_units` tells it of a game day
    utilisation: float = 0.65  # how full an instance may get
    burst: float = 1.1  # the highest second of a step over the step's mean
    floor: float = 0.8  # the share of the quantile that is carried when a zone is lost
    missing: float = 0.0  # what a unit costs that is missing for an hour


class Quota(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """So many vCPUs of a family at most, reserved ones that idle included, in a zone or in a whole region."""

    family: str
    vcpus: int
    zone: str | None = None
    region: str | None = None

    @property
    def where(self) -> str:
        """The zone or the region."""
        return self.zone or self.region or ""


class Ramp(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many running instances of a type may come or go in a zone from one week to the next."""

    add: int
    remove: int


class Held(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Reservations that are there already, from a day to the day before another; None is always."""

    type: str
    zone: str
    count: int
    start: date | None = None
    end: date | None = None


class Running(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Instances that run in the week before the plan: where ramps start from."""

    type: str
    zone: str
    count: int


class Shortage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a missing unit is weighed."""

    hours: float = 6.0  # of a week, for which its peak lasts
    measure: Literal["expected", "cvar"] = "expected"
    tail: float = 0.1  # cvar: the mean of this share of the scenarios, the worst
    quantile: float = 0.9  # of the week's highest step, that floors are a share of


class Fleet(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, dict=True):
    """Everything a plan is made of, but for the forecast."""

    regions: dict[str, list[str]]
    types: dict[str, InstanceType]
    services: dict[str, Service]
    quotas: list[Quota] = []
    ramps: dict[str, Ramp] = {}
    held: list[Held] = []
    running: list[Running] | None = None
    shortage: Shortage = Shortage()
    currency: str = "USD"
    use_after: float = 0.8  # the share of a reservation's weeks after the plan's last that will be of use
    group: str = "{service}-{zone}-{type}"  # the name of the Auto Scaling group

    @cached_property
    def zones(self) -> tuple[str, ...]:
        """All zones, in the order of the file."""
        return tuple(zone for zones in self.regions.values() for zone in zones)

    def region(self, zone: str) -> str:
        """The region that a zone is in."""
        return next(region for region, zones in self.regions.items() if zone in zones)

    def units(self, service: str, kind: str) -> float:
        """What an instance of a type carries of a service's load when it is full; 0 where it cannot run it."""
        told = self.services[service].units
        assert told != "gameday", "`gameday_units.with_units` comes first"
        return told.get(kind, 0.0) if isinstance(told, Mapping) else told * self.types[kind].speed

    def asg(self, service: str, zone: str, kind: str) -> str:
        """The name of the Auto Scaling group of a service in a zone with a type."""
        return self.group.format(service=service.replace("/", "-"), zone=zone, type=kind)


def read(path: Path) -> Fleet:
    """The fleet in a YAML file. Raises UsageError that names the field which is wrong, and what it may be."""
    import yaml

    if not path.is_file():
        raise UsageError(
            f"There is no {path}: `headgate capacity orders example --out {path}` writes one to begin with."
        )

    class Strict(yaml.SafeLoader):
        """Refuses a name that stands twice, of which YAML keeps the last."""

        def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
            names = [self.construct_object(key, deep=True) for key, _ in node.value]
            for name in names:
                if names.count(name) > 1:
                    raise yaml.constructor.ConstructorError(None, None, f"{name} stands there twice", node.start_mark)
            return super().construct_mapping(node, deep)

    try:
        told = yaml.load(path.read_text(encoding="utf-8"), Strict)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is no YAML: {' '.join(str(error).split())}.") from error
    except RecursionError as error:
        raise UsageError(f"{path} is no fleet: it is nested too deep.") from error
    if not isinstance(told, dict):
        raise UsageError(f"{path} is no fleet: `headgate capacity orders example` shows what stands in one.")
    try:
        for table, kind in (("types", InstanceType), ("services", Service)):  # one by one, so that each is named
            for name, one in _rows(told.get(table)):
                _convert(one, kind, f"{table}.{name}")
        fleet = _convert(told, Fleet, "")
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None
    if wrong := next(_wrong(fleet), None):
        raise UsageError(f"{path}: {wrong}.")
    return fleet


def _rows(table: Any) -> Iterable[tuple[Any, Any]]:
    return table.items() if isinstance(table, dict) else ()


def _convert(value: Any, kind: type[T], where: str) -> T:
    """`value` as `kind`. Raises UsageError with the place below `where` that is wrong."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        said, _, inside = str(error).partition(" - at `")
        place = ".".join(filter(None, (where, inside.strip("`$."))))
        may = MAY.get(place.rpartition(".")[2]) if said.startswith("Invalid enum value") else None
        said = f"it must be {may}, not {said.removeprefix('Invalid enum value ')}" if may else said
        raise UsageError(f"{place or 'the file'}: {said[:1].lower() + said[1:]}.") from None


def _wrong(fleet: Fleet) -> Iterator[str]:
    """What is wrong with the values, each as `field: what`."""
    for where, number in _numbers(msgspec.to_builtins(fleet)):
        if not abs(number) <= MOST:  # nor is it no number
            yield f"{where}: {number:.3g} is no number to plan with: it must lie below {MOST:.0e}"
    for name, values in (("regions", fleet.regions), ("types", fleet.types), ("services", fleet.services)):
        if not values:
            yield f"{name}: there must be at least one"
    if len(set(fleet.zones)) < len(fleet.zones):
        yield "regions: a zone is named twice"
    for name, zones in fleet.regions.items():
        if not zones:
            yield f"regions.{name}: it must have a zone"
    for name, kind in fleet.types.items():
        yield from _wrong_type(f"types.{name}", kind)
    for name, service in fleet.services.items():
        yield from _wrong_service(f"services.{name}", service, fleet)
    for number, quota in enumerate(fleet.quotas):
        where = f"quotas[{number}]"
        if (quota.zone is None) == (quota.region is None):
            yield f"{where}: it must name either a zone or a region"
        elif quota.where not in (fleet.zones if quota.zone else fleet.regions):
            yield f"{where}: there is no {quota.where} among the regions"
        if quota.family not in {kind.family for kind in fleet.types.values()}:
            yield f"{where}.family: no type is of the family {quota.family!r}"
        if quota.vcpus < 0:
            yield f"{where}.vcpus: it must not be negative"
    for name, ramp in fleet.ramps.items():
        if name not in fleet.types:
            yield f"ramps.{name}: there is no such type"
        if min(ramp.add, ramp.remove) < 0:
            yield f"ramps.{name}: it must not be negative"
    tables: dict[str, Sequence[Held | Running]] = {"held": fleet.held, "running": fleet.running or []}
    for field, rows in tables.items():
        for number, row in enumerate(rows):
            if row.type not in fleet.types or row.zone not in fleet.zones:
                yield f"{field}[{number}]: there is no {row.type} in {row.zone}"
            if row.count < 0:
                yield f"{field}[{number}].count: it must not be negative"
    shortage = fleet.shortage
    if not 0 < shortage.tail <= 1:
        yield "shortage.tail: it must lie between 0 and 1"
    if not 0 < shortage.quantile < 1:
        yield "shortage.quantile: it must lie between 0 and 1"
    if not 0 < shortage.hours <= HOURS:
        yield f"shortage.hours: it must lie between 0 and {HOURS}"
    if not 0 <= fleet.use_after <= 1:
        yield "use_after: it must lie between 0 and 1"
    try:
        names = {fleet.asg(s, z, k) for s in fleet.services for z in fleet.zones for k in fleet.types}
    except (KeyError, IndexError, ValueError):
        yield "group: it may hold {service}, {zone} and {type}, and nothing else in braces"
    else:
        if len(names) < len(fleet.services) * len(fleet.zones) * len(fleet.types):
            yield "group: it must tell services, zones and types apart: {service}-{zone}-{type}"


def _numbers(value: Any, where: str = "") -> Iterator[tuple[str, float]]:
    """All numbers in a fleet, and where they stand."""
    if isinstance(value, Mapping):
        for name, part in value.items():
            yield from _numbers(part, f"{where}.{name}" if where else str(name))
    elif isinstance(value, list):
        for number, part in enumerate(value):
            yield from _numbers(part, f"{where}[{number}]")
    elif isinstance(value, int | float):
        yield where, value


def _wrong_type(where: str, kind: InstanceType) -> Iterator[str]:
    if min(kind.on_demand, kind.reserved, kind.speed) <= 0:
        yield f"{where}: on_demand, reserved and speed must be above zero"
    if min(kind.vcpus, kind.lot, kind.commitment_weeks) < 1:
        yield f"{where}: vcpus, lot and commitment_weeks must be at least 1"
    if kind.lead_weeks < 0:
        yield f"{where}.lead_weeks: it must not be negative"
    if max(kind.lead_weeks, kind.commitment_weeks) > MOST_WEEKS:
        yield f"{where}: lead_weeks and commitment_weeks must be at most {MOST_WEEKS}"


def _wrong_service(where: str, service: Service, fleet: Fleet) -> Iterator[str]:
    if service.region not in fleet.regions:
        yield f"{where}.region: there is no {service.region!r} among the regions"
    elif service.floor > 0 and len(fleet.regions[service.region]) < 2:
        yield f"{where}.floor: {service.region} has one zone: give it another, or floor 0"
    if not 0 < service.utilisation <= 1:
        yield f"{where}.utilisation: it must lie between 0 and 1"
    if service.burst < 1:
        yield f"{where}.burst: it must be at least 1"
    if not 0 <= service.floor <= 1:
        yield f"{where}.floor: it must lie between 0 and 1"
    if service.missing < 0:
        yield f"{where}.missing: it must not be negative"
    if isinstance(service.units, Mapping):
        if strange := service.units.keys() - fleet.types.keys():
            yield f"{where}.units: there is no type {min(strange)}"
        if not service.units or min(service.units.values()) <= 0:
            yield f"{where}.units: every type that it names must carry more than zero"
    elif service.units != "gameday" and service.units <= 0:
        yield f"{where}.units: it must be above zero"
