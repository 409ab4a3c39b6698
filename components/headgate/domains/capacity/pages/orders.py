"""The latest plan of orders, as `headgate orders plan` wrote it, and whether it is still of what is planned now."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any

import msgspec

from headgate.domains.capacity.pages import asked as asking
from headgate.domains.capacity.pages.figures import encode, numbers
from headgate.domains.capacity.recording import DOMAIN
from headgate.errors import UsageError
from headgate.serving.host import Host

#: The folder of the state in which plans are looked for.
FOLDER = "orders"

#: So many orders are listed.
LISTED = 60


class Made(msgspec.Struct, frozen=True):
    """What a plan was made by."""

    version: int
    calendar: str
    as_of: str
    certified: bool
    ruling: str = ""


class Cost(msgspec.Struct, frozen=True):
    """What a plan costs, and for what."""

    total: float
    on_demand: float
    reserved: float
    missing: float
    after: float = 0.0


class Headroom(msgspec.Struct, frozen=True):
    """A reason to have more than the forecast says."""

    name: str
    value: float
    carried: str
    why: str


class Service(msgspec.Struct, frozen=True):
    """What a service needs and has, by week."""

    service: str
    median: list[float]
    quantile: list[float]
    floor: list[float]
    capacity: list[float]
    headroom: list[Headroom] = []


class Price(msgspec.Struct, frozen=True):
    """What a constraint costs."""

    words: str


class Order(msgspec.Struct, frozen=True):
    """One order."""

    line: str
    kind: str
    zone: str
    type: str
    start: date
    count: int
    weeks: int = 0
    group: str = ""


class Plan(msgspec.Struct, frozen=True):
    """Of a plan what the page shows; it holds more."""

    id: str
    made: str
    weeks: list[date]
    currency: str
    forecast: Made
    cost: Cost
    services: list[Service]
    prices: list[Price]
    orders: list[Order]
    changed: list[str]


def look(host: Host, asked: Mapping[str, str]) -> dict[str, Any]:
    """What the page shows. Raises HeadgateError where the newest file is no plan."""
    folder = host.settings.home / FOLDER
    files = sorted(folder.glob("[!.]*.json"), key=lambda path: path.stat().st_mtime)
    found: dict[str, Any] = {"folder": folder, "name": "", "plan": None}
    if not files:
        return found
    plan = read(files[-1])
    service = next(
        (one for one in plan.services if one.service == asked.get("service")), next(iter(plan.services), None)
    )
    return found | {
        "name": files[-1].name,
        "plan": plan,
        "service": service,
        "figure": None if service is None or not plan.weeks else _figure(plan, service),
        "stale": _stale(host, plan),
        "listed": plan.orders[:LISTED],
    }


def read(path: Path) -> Plan:
    """The plan in a file. Raises UsageError where it is none."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Plan)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is no plan of orders ({error}): make it again by `headgate orders plan`.") from error


def _stale(host: Host, plan: Plan) -> list[str]:
    """What is another by now than the plan was made for, in words."""
    champion = host.slots.champion(DOMAIN)
    if champion is None:
        return []
    found = []
    if champion.version != plan.forecast.version:
        found.append(f"It was made by version {plan.forecast.version}, and version {champion.version} decides now.")
    forecaster = asking.forecaster_of(champion)
    now = forecaster.companion(asking.calendar(host, forecaster))
    if now != plan.forecast.calendar:
        found.append(f"It was made for calendar {plan.forecast.calendar}, and {now} is in force: events have changed.")
    return found


def _figure(plan: Plan, service: Service) -> str:
    """A service's need and capacity by week, as a chart."""
    weeks = [f"{datetime.combine(week, time.min, UTC):%Y-%m-%dT%H:%M}" for week in plan.weeks]
    lines = (
        ("capacity", service.capacity, "accent", ""),
        ("need, high", service.quantile, "after", ""),
        ("need, median", service.median, "after", "dot"),
        ("floor with a zone lost", service.floor, "soft", "dash"),
    )
    drawn = {
        "times": weeks,
        "from": weeks[0],
        "to": weeks[-1],
        "step": 7 * 86_400,
        "lines": [{"name": n, "values": numbers(v), "colour": c, **({"dash": d} if d else {})} for n, v, c, d in lines],
        "bands": [],
        "ranges": [],
        "marks": [],
    }
    return encode(drawn)
