"""The simulated customers: where they live, when they come, and which services a visit touches.

Customers begin sessions by the clock and the calendar of their region. A session asks the home page first, then the
search, products, the cart and at last the checkout, some minutes later each, so services share one rhythm and still
differ: in depth, in delay, in the hours and days they are used at, and in how much a sale moves them.

What happens on a day is drawn from generators keyed by seed, stream, date and region, so that a day depends neither on
how many others are simulated nor on which was the first.
"""

import zlib
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cached_property, lru_cache
from typing import TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
_Number = TypeVar("_Number", np.int64, np.float64)

DAY_MIN = 1440
LEAD_MIN = 60  # how long after its begin a session may still touch a service
YEAR_DAYS = 365.25

#: Regions in the order they are taken, then numbered: name, zone, sessions a minute.
REGIONS = (
    ("eu-central", "Europe/Berlin", 260.0),
    ("us-east", "America/New_York", 420.0),
    ("ap-south", "Asia/Kolkata", 300.0),
    ("us-west", "America/Los_Angeles", 240.0),
    ("ap-northeast", "Asia/Tokyo", 180.0),
    ("sa-east", "America/Sao_Paulo", 120.0),
    ("ap-southeast", "Australia/Sydney", 90.0),
    ("eu-north", "Europe/Helsinki", 60.0),
)

#: Services in the order they are taken, then numbered: name, stage of the session, requests a session.
SERVICES = (
    ("home", 0, 1.5),
    ("search", 1, 2.4),
    ("checkout", 4, 0.16),
    ("cart", 3, 0.5),
    ("product", 2, 3.1),
    ("payment", 4, 0.12),
    ("login", 0, 0.3),
    ("recommend", 2, 1.8),
)

#: Mean delay in minutes from the begin of a session to the requests of each stage.
STAGE_DELAY_MIN = (0.0, 1.5, 3.0, 7.0, 10.0)

#: How many people come in each local hour, on a working day and at the weekend, and on each day of the week.
_WORKDAY = "30 17 10 8 8 14 32 58 80 92 98 104 118 106 96 94 98 108 124 146 162 158 122 68"
_WEEKEND = "52 34 19 13 10 11 17 34 62 92 114 124 122 116 110 106 106 106 112 124 138 130 104 76"
_WEEKDAYS = (1.0, 0.97, 0.96, 0.98, 1.03, 1.10, 1.16)

#: Standard deviations of logarithms: a region's days and hours, a service's days and hours.
REGION_DAY, REGION_HOUR, SERVICE_DAY, SERVICE_HOUR = 0.05, 0.04, 0.03, 0.03
_HOUR_MEMORY = 0.6


@dataclass(frozen=True)
class Break:
    """From `day` on the trend's slope is `slope` a year steeper, on the logarithm."""

    day: date
    slope: float


@dataclass(frozen=True)
class World:
    """What stays the same from day to day. Arrays of services run over `services`, in their order."""

    seed: int
    n_regions: int
    n_services: int
    breaks: tuple[Break, ...] = ()
    growth: float = 0.18  # a year, on the logarithm
    newcomer: bool = False  # whether the last service is a new one that resembles another

    def rng(self, stream: str, *key: int) -> np.random.Generator:
        """Make the generator of one stream, say ("sessions", date, region)."""
        return np.random.default_rng([self.seed, zlib.crc32(stream.encode()), *key])

    # -- who is there ----------------------------------------------------------------------------------------------

    @cached_property
    def regions(self) -> tuple[str, ...]:
        """Names of the regions."""
        return tuple(_named(REGIONS, n, "region") for n in range(self.n_regions))

    @cached_property
    def services(self) -> tuple[str, ...]:
        """Names of the services, in every region the same."""
        names = [_named(SERVICES, n, "service") for n in range(self.n_services)]
        return (*names[:-1], "gifts") if self.newcomer else tuple(names)

    @property
    def analogue(self) -> int:
        """The index of the service that a newcomer resembles: "product" where there is one, else the second."""
        old = self.services[:-1]
        return old.index("product") if "product" in old else min(1, len(old) - 1)

    def zone(self, region: int) -> str:
        """The zone whose clock a region lives by."""
        return REGIONS[region % len(REGIONS)][1]

    @cached_property
    def stage(self) -> I64:
        """The stage of a session that each service (services,) serves."""
        drawn = self.rng("stages").integers(0, len(STAGE_DELAY_MIN), self.n_services)
        drawn[: len(SERVICES)] = [stage for _, stage, _ in SERVICES[: self.n_services]]
        return self._alike(drawn)

    def depth(self, region: int) -> F64:
        """Requests a session makes to each service (services,); customers of other regions differ a little."""
        drawn = np.exp(self.rng("depths").normal(-0.8, 1.0, self.n_services))
        drawn[: len(SERVICES)] = [depth for _, _, depth in SERVICES[: self.n_services]]
        return drawn * np.exp(self.rng("habits", region).normal(0, 0.1, self.n_services))

    @cached_property
    def appetite(self) -> F64:
        """How much more than visits a sale moves each service (services,): most at the checkout."""
        return self._alike(0.15 * self.stage + self.rng("appetites").uniform(-0.1, 0.25, self.n_services))

    def _alike(self, values: NDArray[_Number]) -> NDArray[_Number]:
        """Attributes of services (services, …), where a newcomer's are those of its analogue."""
        if self.newcomer:
            values[-1] = values[self.analogue]
        return values

    # -- when they come --------------------------------------------------------------------------------------------

    def local(self, region: int, minutes: I64) -> I64:
        """The local clock (n,) of a region at UTC `minutes` (n,), both in minutes since 1970."""
        instants = pl.Series(minutes * 60_000).cast(pl.Datetime("ms", "UTC")).dt.convert_time_zone(self.zone(region))
        return instants.dt.replace_time_zone(None).dt.epoch("ms").to_numpy() // 60_000

    def sessions(self, region: int, minutes: I64) -> F64:
        """Expected sessions (n,) begun in each of the UTC `minutes` (n,), without events."""
        local = self.local(region, minutes)
        size = REGIONS[region % len(REGIONS)][2] * 0.8 ** (region // len(REGIONS))
        at, load = _week()
        week = np.interp((local - _MONDAY) % (7 * DAY_MIN) + 0.5, at, load, period=7 * DAY_MIN)
        year = 2 * np.pi * (local / DAY_MIN / YEAR_DAYS)
        season = 0.10 * np.cos(year + 0.2) + 0.04 * np.cos(2 * year - 0.6)
        return np.asarray(size * week * np.exp(season + self.trend(minutes)))

    def trend(self, minutes: I64) -> F64:
        """Logarithm of the growth (n,) since 2026-01-01 at UTC `minutes` (n,)."""
        years = (minutes - minute(date(2026, 1, 1))) / DAY_MIN / YEAR_DAYS
        total = self.growth * years
        for bend in self.breaks:
            total = total + bend.slope * np.maximum(0, (minutes - minute(bend.day)) / DAY_MIN / YEAR_DAYS)
        return np.asarray(total)

    def staged(self, sessions: F64) -> F64:
        """Sessions under way (stages, n) at each stage, from those begun (LEAD_MIN + n,) in each minute."""
        reach = [np.convolve(sessions, kernel)[LEAD_MIN : len(sessions)] for kernel in _kernels()]
        return np.asarray(reach)

    def habits(self, region: int, minutes: I64) -> F64:
        """Each service's own use (services, n) beyond the sessions' rhythm: earlier or later, on work days or not."""
        rng = self.rng("tilts")
        evening, peak = rng.uniform(0, 0.3, self.n_services), rng.uniform(0, 24, self.n_services)
        free = rng.normal(0, 0.12, self.n_services)
        local = self.local(region, minutes)
        hour, day = local % DAY_MIN / 60, (local - _MONDAY) // DAY_MIN % 7
        swing = evening[:, None] * np.cos(2 * np.pi * (hour - peak[:, None]) / 24)
        use = self._alike(self.depth(region)[:, None] * np.exp(swing + free[:, None] * (day >= 5)))
        if self.newcomer:
            use[-1] *= 0.5
        return use

    # -- how they vary ---------------------------------------------------------------------------------------------

    def whims(self, region: int, day: date) -> F64:
        """A factor of mean one (1440,) by which a region's sessions of a UTC day differ from what is expected."""
        z = [self.rng("region-day", at, region).standard_normal() for at in (day.toordinal(), day.toordinal() - 1)]
        shared = REGION_DAY * (z[0] + 0.6 * z[1]) / np.hypot(1, 0.6)
        return np.asarray(_mean_one(shared, REGION_DAY) * self._hours("region-hour", region, day, 1, REGION_HOUR)[0])

    def service_whims(self, region: int, day: date) -> F64:
        """The same (services, 1440) for each service by itself."""
        z = self.rng("service-day", day.toordinal(), region).standard_normal((self.n_services, 1))
        hours = self._hours("service-hour", region, day, self.n_services, SERVICE_HOUR)
        return np.asarray(_mean_one(SERVICE_DAY * z, SERVICE_DAY) * hours)

    def _hours(self, stream: str, region: int, day: date, rows: int, sigma: float) -> F64:
        """AR(1) at the hours of a day, joined by lines up to the next day's first: factors (rows, 1440) of mean one."""
        knots = self.rng(stream, day.toordinal(), region).standard_normal((24, rows))
        for hour in range(1, 24):
            knots[hour] = _HOUR_MEMORY * knots[hour - 1] + np.sqrt(1 - _HOUR_MEMORY**2) * knots[hour]
        following = self.rng(stream, day.toordinal() + 1, region).standard_normal((24, rows))[:1]
        knots = np.concatenate([knots, following]).T
        part = np.arange(60) / 60
        lines = knots[:, :-1, None] * (1 - part) + knots[:, 1:, None] * part
        return _mean_one(sigma * lines.reshape(rows, DAY_MIN), sigma)


def _mean_one(logarithm: F64, sigma: float) -> F64:
    return np.asarray(np.exp(logarithm - sigma**2 / 2))


def _named(known: tuple[tuple[str, object, float], ...], n: int, what: str) -> str:
    return str(known[n][0]) if n < len(known) else f"{what}-{n + 1:03}"


@lru_cache(maxsize=1)
def _kernels() -> list[F64]:
    return [_kernel(delay) for delay in STAGE_DELAY_MIN]


def _kernel(delay_min: float) -> F64:
    """The chance (LEAD_MIN,) that a request follows the session's begin by each number of minutes."""
    if not delay_min:
        return np.eye(1, LEAD_MIN, dtype=np.float64).ravel()
    at = np.arange(LEAD_MIN) + 0.5
    weight = at * np.exp(-2 * at / delay_min)
    return np.asarray(weight / weight.sum())


def minute(day: date) -> int:
    """The UTC minute since 1970 at which a day begins."""
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) // 60


_MONDAY = 4 * DAY_MIN  # 1970-01-05


@lru_cache(maxsize=1)
def _week() -> tuple[F64, F64]:
    """The minutes of the week (168,) at which the hours are half over, and the load there (168,), of mean one."""
    workday, weekend = (np.array(curve.split(), float) for curve in (_WORKDAY, _WEEKEND))
    load = np.concatenate([(weekend if d >= 5 else workday) * factor for d, factor in enumerate(_WEEKDAYS)])
    return 60.0 * np.arange(168, dtype=np.float64) + 30, np.asarray(load / load.mean(), np.float64)
