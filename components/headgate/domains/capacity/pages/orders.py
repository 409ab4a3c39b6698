"""The latest plan of orders, as `headgate capacity orders plan` wrote it, and whether that is still planned."""

from collections.abc import Mapping
from datetime import UTC, datetime, time
from typing import Any

from headgate.contract.host import Host
from headgate.domains.capacity.orders.plans import FOLDER, Carries, Order, Plan, newest, read
from headgate.domains.capacity.pages import query
from headgate.domains.capacity.pages.figures import encode, numbers
from headgate.domains.capacity.serving.recording import DOMAIN
from headgate.errors import HeadgateError

#: So many orders are listed.
LISTED = 24


def look(host: Host, asked: Mapping[str, str]) -> dict[str, Any]:
    """What the page shows. Raises HeadgateError where the newest file is no plan."""
    file = newest(host.settings.home)
    if file is None:
        return {"folder": host.settings.home / FOLDER, "name": "", "plan": None}
    plan = read(file)
    service = next(
        (one for one in plan.services if one.service == asked.get("service")), next(iter(plan.services), None)
    )
    return {
        "name": file.name,
        "plan": plan,
        "service": service,
        "figure": None if service is None or not plan.weeks else _figure(plan, service),
        "stale": _stale(host, plan),
        "listed": _reservations_first(plan)[:LISTED],
    }


def _reservations_first(plan: Plan) -> list[Order]:
    """The orders as a reader wants them: what is reserved first, then sizes, and where a group is emptied last."""
    return sorted(plan.orders, key=lambda one: (one.kind != "reservation", not one.count, one.start))


def _stale(host: Host, plan: Plan) -> list[tuple[str, str]]:
    """What to do where something is another by now than the plan was made for, and why."""
    champion = host.slots.champion(DOMAIN)
    if champion is None:
        return []
    found = []
    if champion.version != plan.forecast.version:
        why = f"It was made by version {plan.forecast.version}, and version {champion.version} decides now."
        found.append(("Plan again.", why))
    forecaster = query.forecaster_of(champion)
    try:
        now = forecaster.companion(query.calendar(host, forecaster))
    except HeadgateError as error:  # the plan is there all the same
        return [*found, ("Mend the calendar.", f"Whether events have changed since cannot be told. {error}")]
    if now != plan.forecast.calendar:
        why = f"It was made for calendar {plan.forecast.calendar}, and {now} is in force: events have changed."
        found.append(("Plan again.", why))
    return found


def _figure(plan: Plan, service: Carries) -> str:
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
