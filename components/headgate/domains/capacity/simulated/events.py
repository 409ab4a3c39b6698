"""The simulated calendar: sales, holidays and launches, what customers make of them, and what people had planned.

A sale starts with a burst and ends with a rush, with a plateau between them that is as long as the sale. A launch sells
out within minutes: a crowd waits for a small stock, buys what there is and walks away.
"""

import calendar
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import numpy as np

from headgate.domains.capacity.simulated.world import DAY_MIN, F64, I64, LEAD_MIN, YEAR_DAYS, World, minute

MINUTE = timedelta(minutes=1)

#: How much a sale of intensity 1 adds to the sessions of its plateau, and by what factor a year that grows.
SALE_LIFT, SALE_GROWTH = 0.55, 1.2

#: By what factor a whole local day of each other kind changes the sessions.
MOODS = {"holiday": 0.78, "festival": 1.35, "mothers-day": 1.22}

_BURST_MIN, _RUSH_MIN, _WAIT_MIN = 40.0, 75.0, 20
_LAUNCH_MIN = 120  # after this nobody waits any more


@dataclass(frozen=True)
class Happening:
    """A revision of an event. `start` and `end` are local where they are naive."""

    event: str
    kind: str
    name: str
    start: datetime
    end: datetime
    known: datetime
    region: str = "*"
    services: tuple[str, ...] = ("*",)
    intensity: float = 1.0
    revision: int = 1
    reason: str = ""

    def span(self, zone: str) -> tuple[int, int]:
        """The UTC minutes since 1970 at which it begins and ends for customers of a zone."""
        first, last = (at if at.tzinfo else at.replace(tzinfo=ZoneInfo(zone)) for at in (self.start, self.end))
        return int(first.timestamp()) // 60, int(last.timestamp()) // 60

    def words(self) -> list[str]:
        """Its row of calendar.csv."""
        names = "|".join(self.services)
        known, span = self.known.isoformat(), [_written(at) for at in (self.start, self.end)]
        fixed = [self.event, str(self.revision), self.kind, self.name, self.region, names, *span]
        return [*fixed, f"{self.intensity:g}", known, "planned", "simulator", self.reason]


def plan(world: World, first: date, last: date) -> list[Happening]:
    """All events that begin between two dates, as first planned. A year's plan depends on seed and year alone."""
    years = range(first.year, last.year + 1)
    return [one for year in years for one in _year(world, year) if first <= one.start.date() <= last]


def moved(plan: Sequence[Happening], after: date, known: datetime) -> list[Happening]:
    """The plan, whose first 24-hour sale after a date is moved by three days and stretched to 48 hours."""
    sales = (one for one in plan if one.kind == "sale" and one.start.date() > after)
    sale = min((one for one in sales if one.end - one.start == timedelta(days=1)), key=lambda one: one.start)
    start = sale.start + timedelta(days=3)
    change = {"start": start, "end": start + timedelta(days=2), "known": known, "revision": 2}
    return [*plan, replace(sale, **change, reason="moved by three days and stretched to 48 hours")]  # type: ignore[arg-type]


def on_sale(planned: Sequence[Happening], end: date) -> list[Happening]:
    """A sale that is on as the day `end` begins, and one that is to come, on a day with no other sale around it."""
    taken = {one.start.date() + timedelta(day) for one in planned if one.kind == "sale" for day in (-2, -1, 0, 1, 2)}
    soon = next(day for n in range(5, 60) if (day := end + timedelta(days=n)) not in taken)
    return [
        _sale(f"two-day-sale-{end}", "Two-day sale", end, 2, 1.2),
        _sale(f"members-sale-{soon}", "Members' sale", soon, 1, 1.0),
    ]


def launch(world: World, number: int, at: datetime) -> Happening:
    """A launch at an instant, known sixty days before."""
    touched = {"home", "search", "product", "cart", "checkout", "payment"}
    services = tuple(name for name in world.services if name in touched)
    return Happening(
        event=f"launch-{number}",
        kind="launch",
        name=f"Launch {number}",
        start=at,
        end=at + timedelta(minutes=_LAUNCH_MIN),
        known=at - timedelta(days=60),
        services=services,
        intensity=1.0 + 0.5 * (number % 2),
    )


def last_revisions(plan: Sequence[Happening]) -> list[Happening]:
    """What truly happened: of every event its last revision."""
    return list({one.event: one for one in sorted(plan, key=lambda one: one.revision)}.values())


# ---------------------------------------------------------------------------------------------- what they bring about


def visits(world: World, happened: Sequence[Happening], region: int, minutes: I64) -> F64:
    """The factor (n,) by which events change the sessions of a region begun in UTC `minutes` (n,), without launches."""
    sale, mood = np.zeros(len(minutes)), np.ones(len(minutes))
    for one in _here(world, happened, region, minutes):
        start, end = one.span(world.zone(region))
        if one.kind == "sale":  # sales that overlap are one: the stronger counts
            sale = np.maximum(sale, one.intensity * _plateau(minutes, start, end))
        elif one.kind in MOODS:
            mood = np.where((minutes >= start) & (minutes < end), mood * MOODS[one.kind], mood)
    years = (minutes - minute(date(2026, 1, 1))) / DAY_MIN / YEAR_DAYS
    return np.asarray((1 + SALE_LIFT * SALE_GROWTH**years * sale) * mood)


def conversion(world: World, lift: F64) -> F64:
    """The factor (services, n) by which each service is used more in a session, from the `lift` (n,) of visits."""
    return np.asarray(1 + world.appetite[:, None] * (lift - 1))


def crowds(world: World, happened: Sequence[Happening], region: int, minutes: I64) -> F64:
    """Requests (services, n) of the crowds at launches, in UTC `minutes` (n,)."""
    total = np.zeros((world.n_services, len(minutes)))
    for one in _here(world, happened, region, minutes):
        if one.kind == "launch":
            start, _ = one.span(world.zone(region))
            usual = float(world.sessions(region, minutes).mean())
            at = np.clip(minutes - start + _WAIT_MIN, 0, _WAIT_MIN + _LAUNCH_MIN)
            pages, orders = (2 * one.intensity * usual * part[at] for part in _crowd())
            touched = np.isin(np.array(world.services), one.services)
            shown = touched * (world.stage < 3) * world.depth(region) * 0.6
            bought = touched * (world.stage >= 3) * 1.3  # some try twice
            total += shown[:, None] * pages + bought[:, None] * orders
    return total


def _here(world: World, happened: Sequence[Happening], region: int, minutes: I64) -> Iterator[Happening]:
    """The events that touch a region around `minutes`."""
    for one in happened:
        if one.region in ("*", world.regions[region]):
            start, end = one.span(world.zone(region))
            if start - LEAD_MIN < minutes[-1] and end > minutes[0]:
                yield one


def _plateau(minutes: I64, start: int, end: int) -> F64:
    """The course (n,) of a sale: a few wait, a burst at the onset, a plateau of height 1, a rush before the end."""
    since, left = minutes - start, end - minutes
    inside = 1 + 1.1 * np.exp(-np.maximum(since, 0) / _BURST_MIN) + 0.6 * np.exp(-np.maximum(left, 0) / _RUSH_MIN)
    waiting = 0.25 * np.clip(1 + since / _WAIT_MIN, 0, 1)
    return np.where((since >= 0) & (left > 0), inside, np.where(since < 0, waiting, 0.0))


@lru_cache(maxsize=1)
def _crowd() -> tuple[F64, F64]:
    """Pages and orders a minute from `_WAIT_MIN` before a launch on, for one who comes in its first minute.

    Who waits looks again each minute; a quarter of those who wait are served while the stock lasts; some lose patience,
    and half of the rest a minute once it is sold out.
    """
    at = np.arange(-_WAIT_MIN, _LAUNCH_MIN + 1)
    arrive = np.where(at < 0, 0.3 * np.exp(at / 5), np.exp(-np.maximum(at, 0) / 6))
    arrive[0] = arrive[-1] = 0
    pages, orders = np.zeros(len(at)), np.zeros(len(at))
    waiting, stock = 0.0, 3.0
    for n, come in enumerate(arrive):
        waiting += come
        orders[n] = min(0.25 * waiting, stock) if at[n] >= 0 else 0.0
        stock -= orders[n]
        pages[n] = come + 1.2 * waiting
        waiting = (waiting - orders[n]) * (0.94 if stock > 0 else 0.5)
    return pages, orders


# ------------------------------------------------------------------------------------------------------- the plan


def _year(world: World, year: int) -> Iterator[Happening]:
    long_ago = datetime(year - 1, 1, 1, 9, tzinfo=UTC)
    for month in range(1, 13):
        rng = world.rng("flash-sales", year, month)
        for number, (low, high) in enumerate(((3, 12), (16, 26)), start=1):
            day = date(year, month, int(rng.integers(low, high)))
            intensity = float(rng.choice([0.7, 1.0, 1.0, 1.4]))
            yield _sale(f"flash-{day:%Y-%m}-{number}", "Flash sale", day, 1, intensity)
    yield _sale(
        f"summer-sale-{year}", "Summer sale", date(year, 7, int(world.rng("summer", year).integers(8, 19))), 2, 1.8
    )
    friday = [week[calendar.FRIDAY] for week in calendar.monthcalendar(year, 11) if week[calendar.FRIDAY]][3]
    yield _sale(f"black-friday-{year}", "Black Friday", date(year, 11, friday), 4, 2.2)
    sundays = [week[calendar.SUNDAY] for week in calendar.monthcalendar(year, 5) if week[calendar.SUNDAY]]
    for index, region in enumerate(world.regions):
        days = [
            ("holiday", f"holiday-{m:02}-{d:02}", date(year, m, d), 1) for m, d in ((1, 1), (5, 1), (12, 25), (12, 26))
        ]
        if index % 2 == 0:
            days.append(("mothers-day", "mothers-day", date(year, 5, sundays[1]), 1))
        rng = world.rng("festivals", index)
        around = date(year, 1, 1) + timedelta(
            int(rng.integers(20, 330))
        )  # every year near the same date, as by the moon
        moon = int(world.rng("moon", index, year).integers(-14, 15))
        days.append(("festival", "festival", around + timedelta(moon), 2))
        for kind, name, day, length in days:
            start = datetime(day.year, day.month, day.day)
            event = f"{name}-{year}-{region}"
            title = name.replace("-", " ").capitalize()
            yield Happening(event, kind, title, start, start + timedelta(length), long_ago, region=region)


def _sale(event: str, name: str, day: date, length: int, intensity: float) -> Happening:
    start = datetime(day.year, day.month, day.day)
    known = start.replace(hour=9, tzinfo=UTC) - timedelta(days=150)
    return Happening(event, "sale", name, start, start + timedelta(length), known, intensity=intensity)


def _written(at: datetime) -> str:
    return at.isoformat() if at.tzinfo else at.date().isoformat()
