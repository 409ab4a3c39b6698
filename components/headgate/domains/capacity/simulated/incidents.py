"""What goes wrong in the simulated world: robots, outages, throttling and load tests, and which of it people noted."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headgate.domains.capacity.simulated.world import F64, I64, World

#: The `effect` of the mask that people set for each kind of incident.
EFFECTS = {
    "robots": "robots",
    "blocked": "robots",
    "zeros": "outage",
    "missing": "outage",
    "late": "outage",
    "throttled": "throttled",
    "load-test": "load-test",
}


@dataclass(frozen=True)
class Incident:
    """A fault from UTC minute `start` (since 1970) to before `end`; `disturb` and `damage` tell its `strength`."""

    kind: str
    region: str
    services: tuple[str, ...]
    start: int
    end: int
    strength: float
    noted: bool  # whether people noticed, and set a mask two hours after it was over

    def told(self) -> dict[str, Any]:
        """It as JSON for the hidden truth."""
        return asdict(self) | {"start": _instant(self.start).isoformat(), "end": _instant(self.end).isoformat()}

    def mask(self, number: int) -> list[str]:
        """Its row of masks.csv."""
        known = _instant(self.end) + timedelta(hours=2)
        span = [_instant(at).isoformat() for at in (self.start, self.end)]
        services = "|".join(self.services)
        fixed = [f"{self.kind}-{number}", "1", self.region, services, *span, EFFECTS[self.kind], known.isoformat()]
        return [*fixed, "active", "simulator", "noted while on duty"]


def place(scenario: str, world: World, start: date, days: int) -> tuple[Incident, ...]:
    """The incidents of a scenario in the `days` from `start`."""
    first, last, everything = world.regions[0], world.regions[-1], ("*",)
    some = world.services[: max(1, len(world.services) // 2)]

    def incident(
        kind: str,
        region: str,
        services: tuple[str, ...],
        share: float,
        hour: int,
        hours: int,
        strength: float,
        noted: bool,
    ) -> Incident:
        day = start + timedelta(min(int(share * days), days - 2))
        begin = int(datetime(day.year, day.month, day.day, hour, tzinfo=UTC).timestamp()) // 60
        return Incident(kind, region, services, begin, begin + hours * 60, strength, noted)

    if scenario == "robots":
        return (
            incident("robots", first, everything, 0.55, 1, 5, 1.2, True),
            incident("robots", last, some, 0.75, 8, 9, 0.7, False),
            incident("blocked", first, everything, 1.0, 11, 4, 0.45, False),
        )
    if scenario == "outage":
        return (
            incident("zeros", first, everything, 0.50, 12, 3, 0.0, True),
            incident("missing", last, some, 0.60, 6, 5, 0.0, False),
            incident("late", first, everything, 0.70, 14, 4, 36.0, False),
            incident("throttled", first, everything, 0.80, 17, 2, 0.6, True),
            incident("load-test", last, everything, 1.0, 3, 2, 2.0, True),
        )
    return ()


def disturb(incidents: Sequence[Incident], world: World, region: int, minutes: I64, mean: F64) -> F64:
    """The mean load (services, n) as robots and load tests change it.

    "robots" add `strength` × a service's usual load, in bursts of five minutes; "blocked" leaves that part of the
    customers; a "load-test" grows by up to `strength` × the load.
    """
    for one, rows, here in _here(incidents, world, region, minutes):
        if one.kind == "robots":
            burst = 0.6 + 0.8 * (minutes // 5 % 2)
            mean = mean + rows[:, None] * here * burst * one.strength * mean.mean(axis=1, keepdims=True)
        elif one.kind == "blocked":
            mean = np.where(rows[:, None] & here, mean * one.strength, mean)
        elif one.kind == "load-test":
            ramp = np.clip((minutes - one.start) / (one.end - one.start), 0, 1)
            mean = np.where(rows[:, None] & here, mean * (1 + one.strength * ramp), mean)
    return mean


def damage(
    incidents: Sequence[Incident], world: World, region: int, minutes: I64, counts: F64, expected: F64
) -> tuple[F64, F64]:
    """What was measured of `counts` (services, n), NaN where nothing was, and by how many minutes it came late.

    "zeros" measures 0, "missing" nothing, "late" delivers `strength` hours after its end, and "throttled" lets through
    at most `strength` × what was `expected`.
    """
    late = np.zeros(counts.shape)
    for one, rows, here in _here(incidents, world, region, minutes):
        hit = rows[:, None] & here
        if one.kind == "zeros":
            counts = np.where(hit, 0.0, counts)
        elif one.kind == "missing":
            counts = np.where(hit, np.nan, counts)
        elif one.kind == "late":
            late = np.where(hit, one.end + one.strength * 60 - minutes, late)
        elif one.kind == "throttled":
            counts = np.where(hit, np.minimum(counts, np.floor(one.strength * expected)), counts)
    return counts, late


def _here(
    incidents: Sequence[Incident], world: World, region: int, minutes: I64
) -> list[tuple[Incident, NDArray[np.bool_], NDArray[np.bool_]]]:
    """The incidents of a region and a day, with the services and the minutes that they hit."""
    found = []
    for one in incidents:
        here = (minutes >= one.start) & (minutes < one.end)
        if one.region == world.regions[region] and here.any():
            rows = np.array([one.services == ("*",) or name in one.services for name in world.services])
            found.append((one, rows, here))
    return found


def _instant(minute: int) -> datetime:
    return datetime.fromtimestamp(minute * 60, UTC)
