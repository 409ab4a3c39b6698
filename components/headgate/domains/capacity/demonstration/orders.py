"""A plan of orders to look at: by the champion and the calendar in force, for a fleet of simulated prices."""

from datetime import UTC, datetime

from headgate.contract.demonstration import Play
from headgate.domains.capacity.companions.calendar import Event
from headgate.domains.capacity.companions.followed import known, shared_folder
from headgate.domains.capacity.model.forecaster import Forecaster
from headgate.domains.capacity.orders import plans
from headgate.domains.capacity.orders.fleet import read
from headgate.domains.capacity.orders.planning import By, example_fleet, keep_plan, plan_fleet
from headgate.files import atomic_file
from headgate.registry import versions
from headgate.settings import Settings

#: What the plan may cost: it is made beside servers that people look at.
WEEKS, GAP, SECONDS = 8, 0.02, 10.0


def plan_orders(settings: Settings, play: Play) -> str:
    """Plan by the champion and the calendar in force, unless the newest plan is of both; what was done, or ""."""
    champion = versions.wanted(settings, "capacity", versions.CHAMPION)
    forecaster = Forecaster(versions.fetch(champion, settings))
    folder = shared_folder(settings)
    found = known(folder, Event, datetime.now(UTC)) if folder else None
    events = found[1] if found else None
    last = plans.latest(settings.home)
    if last and (last.forecast.version, last.forecast.calendar) == (champion.number, forecaster.companion(events)):
        return ""
    fleet = settings.home / "demo" / "fleet.yaml"
    if not fleet.is_file():
        with atomic_file(fleet) as draft:
            draft.write_text(example_fleet(forecaster), encoding="utf-8")
    by = By(champion.number, champion.bundle, forecaster, events)
    made = plan_fleet(settings, by, read(fleet), weeks=WEEKS, last=last, gap=GAP, seconds=SECONDS)
    keep_plan(settings, made)
    return f"capacity: orders are planned for {WEEKS} weeks from {made.weeks[0]}, {made.money} with simulated prices."
