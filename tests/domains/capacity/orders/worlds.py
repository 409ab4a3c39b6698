"""Small fleets, needs and plans, of which a test changes what it is about."""

from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headgate.domains.capacity.orders.fleet import Fleet, InstanceType, Service
from headgate.domains.capacity.orders.make import make_plan
from headgate.domains.capacity.orders.placed import read_placed
from headgate.domains.capacity.orders.plans import Forecast, Plan
from headgate.domains.capacity.orders.problem import Problem, build, mondays

Floats = NDArray[np.float64]

MONDAY = date(2026, 3, 2)
FORECAST = Forecast(
    version=3, bundle="b3", ruling="passed", as_of="2026-03-01", calendar="c", certified=True, scenarios=40
)


def kind(**fields: Any) -> InstanceType:
    usual: dict[str, Any] = {"family": "m", "generation": 7, "vcpus": 8, "on_demand": 0.4, "reserved": 0.25}
    return InstanceType(**usual | {"lot": 2, "lead_weeks": 1, "commitment_weeks": 2} | fields)


def service(**fields: Any) -> Service:
    usual: dict[str, Any] = {"series": "eu/home/requests", "region": "eu", "units": 100.0, "missing": 0.02}
    return Service(**usual | fields)


def fleet(n: int = 2, zones: str = "abc", **fields: Any) -> Fleet:
    usual: dict[str, Any] = {
        "regions": {"eu": [f"eu{letter}" for letter in zones]},
        "types": {"m7": kind(), "c7": kind(family="c", on_demand=0.36, reserved=0.22, speed=0.87)},
        "services": {f"s{i}": service(series=f"eu/s{i}/requests") for i in range(n)},
    }
    return Fleet(**usual | fields)


def needs(services: int, weeks: int, size: float = 900.0, seed: int = 0, scenarios: int = 40) -> Floats:
    random = np.random.default_rng(seed)
    base = size * np.exp(random.normal(0, 0.5, (1, services, 1)))
    return np.asarray(base * np.exp(random.normal(0, 0.15, (scenarios, services, weeks))))


def case(told: Fleet, weeks: int = 3, need: Floats | None = None, **more: Any) -> Problem:
    return build(told, mondays(MONDAY, weeks), needs(len(told.services), weeks, **more) if need is None else need)


def planned(told: Fleet, weeks: int = 3, need: Floats | None = None, entries: Any = (), **more: Any) -> Plan:
    drawn = needs(len(told.services), weeks) if need is None else need
    return make_plan(
        told, mondays(MONDAY, weeks), drawn, FORECAST, read_placed(entries), **{"gap": 0.02, "seconds": 3.0} | more
    )
