"""What the fleet must carry: scenarios of each service's highest step of each week, from a version that may decide."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from headgate.domains.capacity.companions.calendar import Event
from headgate.domains.capacity.model.forecaster import Forecaster
from headgate.domains.capacity.orders.fleet import Fleet
from headgate.domains.capacity.orders.headroom import Load, add_headroom
from headgate.errors import DataRefused, UsageError
from headgate.registry.ledger import Entry
from headgate.registry.ledger_state import state_of

Floats = NDArray[np.float64]

#: Years ahead that a plan begins at most.
REACH = 3


@dataclass(frozen=True)
class Demand:
    """Scenarios [W, S, T] of the highest step, as loads of the series."""

    load: Load
    certified: bool  # whether origins reached as far ahead


def refuse_unjudged(entries: Sequence[Entry], version: int, bundle: str) -> str:
    """The ruling under which a version may be ordered by. Raises DataRefused where the gate let it through to nobody.

    One that waits for review counts once a person has made it champion.
    """
    known = state_of(entries)
    ruling = known.rulings.get(version, ("", ""))[1]
    if not known.may_serve(version, bundle):
        why = f"its verdict is {ruling!r}" if ruling else "it has no verdict in the ledger"
        raise DataRefused(
            f"Nothing is ordered by version {version} of capacity: {why}. Order by the champion, or let a reviewer "
            "override the verdict."
        )
    if ruling == "review" and version not in known.line:
        raise DataRefused(
            f"Nothing is ordered by version {version} of capacity: it waits for a reviewer. Make it champion first."
        )
    return ruling


def drawn(
    forecaster: Forecaster, fleet: Fleet, weeks: Sequence[date], calendar: Sequence[Event] | None = None, seeds: int = 1
) -> Demand:
    """Sample every service's highest step in every week, `peaks.PATHS` paths a seed.

    The same path has the same errors in every service, so what goes wrong together stays together. Raises UsageError
    for a series that the version lacks, and for weeks it does not reach; DataRefused for one without certified peaks.
    """
    loads, certified = [], True
    for name, service in fleet.services.items():
        mine = []
        for week in weeks:
            start, end = _midnight(week), _midnight(week + timedelta(weeks=1))
            try:
                said = forecaster.forecast(service.series, start, end, levels=(0.5,), calendar=calendar)
            except UsageError as error:
                raise UsageError(f"services.{name}.series: {error}") from None
            mine.append(forecaster.largest(said, end, range(seeds)))
            certified = certified and said.certified
        loads.append(np.stack(mine, axis=1))
    return Demand(Load(np.stack(loads, axis=1)), certified)


def needs(fleet: Fleet, load: Load) -> Floats:
    """The needs [W, S, T] of loads: every service's ledger of headroom, applied once."""
    each = [
        add_headroom(fleet, name).need(Load(load.values[:, s : s + 1])).values for s, name in enumerate(fleet.services)
    ]
    return np.concatenate(each, axis=1)


def first_day(asked: date | None, as_of: datetime) -> date:
    """The first day of a plan: the one `asked` for, or the first Monday after everything the forecast knew.

    Raises UsageError where the forecast was made later, or cannot reach as far.
    """
    day = as_of.astimezone(UTC).date()
    monday = day + timedelta(days=-day.weekday() % 7)
    if asked is None:
        return monday
    if asked < day:
        raise UsageError(
            f"--start {asked} lies before {day}, up to when the forecast knows all: the first Monday is {monday}."
        )
    if asked.year > day.year + REACH:
        raise UsageError(f"--start {asked} lies more than {REACH} years after {day}: no forecast reaches so far.")
    return asked


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
