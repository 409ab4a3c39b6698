"""A plan of orders from end to end: a fleet to begin with, and the plan of a version for a fleet."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from headgate.domains.capacity.companions.calendar import Event
from headgate.domains.capacity.model.forecaster import Forecaster
from headgate.domains.capacity.orders import demand, plans
from headgate.domains.capacity.orders.example import write_example
from headgate.domains.capacity.orders.fleet import Fleet
from headgate.domains.capacity.orders.gameday_units import with_units
from headgate.domains.capacity.orders.make import make_plan
from headgate.domains.capacity.orders.placed import read_placed
from headgate.domains.capacity.orders.plans import Plan
from headgate.domains.capacity.orders.problem import mondays
from headgate.registry.ledger import Ledger
from headgate.settings import Settings


@dataclass(frozen=True)
class By:
    """What a plan is made by: a version, and the events that count for it (None: its own)."""

    version: int
    bundle: str
    forecaster: Forecaster
    calendar: Sequence[Event] | None = None


def example_fleet(forecaster: Forecaster) -> str:
    """A `fleet.yaml` for every series of a version, sized by what it forecasts of the next two weeks."""
    peaks = {}
    for one in forecaster.series:
        said = forecaster.forecast(one.series, forecaster.as_of, forecaster.as_of + timedelta(weeks=2), levels=(0.5,))
        peaks[one.series] = max(float(said.quantiles[0.5].max()), 1.0)
    return write_example(forecaster.series, peaks)


def plan_fleet(
    settings: Settings,
    by: By,
    fleet: Fleet,
    *,
    weeks: int = 13,
    start: date | None = None,
    last: Plan | None = None,
    gap: float = 0.01,
    seconds: float = 30.0,
) -> Plan:
    """The plan for so many weeks from `start`, the Monday after the forecast's as-of if None; `last` is told against.

    Raises DataRefused where the version may not be ordered by or limits leave no plan, and what `make_plan` raises.
    """
    fleet, entries = with_units(fleet, settings.home), Ledger(settings).entries("capacity")
    ruling = demand.refuse_unjudged(entries, by.version, by.bundle)
    days = mondays(demand.first_day(start, by.forecaster.as_of), weeks)
    drawn = demand.drawn(by.forecaster, fleet, days, by.calendar)
    made_by = plans.Forecast(
        version=by.version,
        bundle=by.bundle,
        ruling=ruling,
        as_of=by.forecaster.as_of.isoformat(),
        calendar=by.forecaster.companion(by.calendar),
        certified=drawn.certified,
        scenarios=len(drawn.load.values),
    )
    need, placed = demand.needs(fleet, drawn.load), read_placed(entries)
    return make_plan(fleet, days, need, made_by, placed, last=last, gap=gap, seconds=seconds)


def keep_plan(settings: Settings, made: Plan) -> Path:
    """Write a plan into the state folder, where the newest is looked for; its file."""
    out = settings.home / plans.FOLDER / f"{made.weeks[0]}-{made.id}.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    plans.write(made, out)
    return out
