"""The checker counts for itself: it finds nothing wrong with plans, and whatever is changed in one."""

from itertools import product
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headgate.domains.capacity.orders.check import check_plan
from headgate.domains.capacity.orders.fleet import Fleet, Quota, Ramp, Running
from headgate.domains.capacity.orders.plans import Plan

from .worlds import fleet, planned

LIMITED = fleet(
    3,
    quotas=[Quota(family="m", zone="eua", vcpus=200), Quota(family="c", region="eu", vcpus=1000)],
    ramps={"m7": Ramp(add=20, remove=20), "c7": Ramp(add=30, remove=8)},
    running=[Running(type="c7", zone="eub", count=8), Running(type="c7", zone="eua", count=8)],
)


@pytest.fixture(scope="module")
def plan() -> Plan:
    return planned(LIMITED)


def test_a_plan_is_what_it_says(plan: Plan) -> None:
    assert check_plan(plan, LIMITED) == []


def left(plan: Plan, told: Fleet, service: str, week: int, lost: str) -> float:
    return sum(
        mix.counts[week] * told.units(service, mix.type)
        for mix in plan.mixes
        if mix.service == service and mix.zone != lost
    )


@settings(max_examples=8)
@given(zones=st.sampled_from(["ab", "abc", "abcd"]), seed=st.integers(0, 99), services=st.integers(1, 3))
def test_the_loss_of_any_zone_leaves_every_service_above_its_floor(zones: str, seed: int, services: int) -> None:
    told = fleet(services, zones=zones)
    from .worlds import needs

    need = needs(services, 2, seed=seed)
    plan = planned(told, weeks=2, need=need, seconds=1.0)
    floor = 0.8 * np.quantile(need, 0.9, axis=0)
    for (s, name), week, lost in product(enumerate(told.services), range(2), told.zones):
        assert left(plan, told, name, week, lost) >= floor[s, week] - 1e-6
    assert check_plan(plan, told) == []


def altered(plan: Plan, table: str, row: int, field: str, week: int, by: int) -> Plan:
    rows: list[Any] = list(getattr(plan, table))
    values = list(getattr(rows[row], field))
    values[week] += by
    rows[row] = msgspec.structs.replace(rows[row], **{field: values})
    return msgspec.structs.replace(plan, **{table: rows})


@pytest.mark.parametrize(
    ("table", "field", "by", "said"),
    [
        ("mixes", "counts", -4, "are left of"),
        ("mixes", "counts", 1, "run, of which"),
        ("pools", "running", 50, "beyond its ramp"),
        ("pools", "on_demand", 200, "the quota is"),
        ("pools", "reserved", 1, "reserved, not"),
        ("pools", "lots", 1, "before its lead time"),
        ("services", "floor", 1, "is not the floor"),
        ("services", "capacity", 1, "units, not"),
    ],
)
def test_what_is_altered_is_found(plan: Plan, table: str, field: str, by: int, said: str) -> None:
    row = next(i for i, one in enumerate(getattr(plan, table)) if getattr(one, field)[0] >= max(-by, 0))
    found = check_plan(altered(plan, table, row, field, 0, by), LIMITED)
    assert any(said in one for one in found), found
