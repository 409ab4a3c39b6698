"""The programme against every fleet there is, its shortage against sums, its limits and their words."""

from dataclasses import replace
from datetime import timedelta
from itertools import product
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headgate.domains.capacity.orders import bound, programme
from headgate.domains.capacity.orders.bound import lower_bound
from headgate.domains.capacity.orders.choose import choose_patterns
from headgate.domains.capacity.orders.duals import prices
from headgate.domains.capacity.orders.fleet import Held, Quota, Ramp, Running, Shortage
from headgate.domains.capacity.orders.local_search import search
from headgate.domains.capacity.orders.patterns import Patterns, patterns
from headgate.domains.capacity.orders.shortage import expected, lines
from headgate.domains.capacity.orders.solve import cost, solve_problem, whole
from headgate.errors import DataRefused

from .worlds import MONDAY, Floats, case, fleet, kind, needs, planned, service


def cheapest(need: Floats, floor: float, missing: float, held: int, cvar: bool) -> float:
    """The cost of the best fleet of a week in two zones: all of up to nine m7 and c7 in each are tried."""
    units, price = np.array([100.0, 87.0]), 168 * np.array([0.4, 0.36])
    each = np.array(list(product(range(10), repeat=2)))
    first, second = (part.reshape(-1, 2) for part in np.broadcast_arrays(each[:, None], each[None]))
    capacity = first @ units, second @ units
    paid = np.maximum(first - [0, held], 0) @ price + second @ price + held * 168 * 0.22
    short = np.sort(np.maximum(need[:, None] - sum(capacity), 0.0), axis=0)[::-1]
    short = short[: max(1, int(np.ceil(0.2 * len(need) - 1e-9)))] if cvar else short
    cost = paid + missing * 6 * 0.65 / 1.1 * short.mean(axis=0)
    kept = np.minimum(*capacity) >= floor * np.quantile(need, 0.8) * (1 - 1e-12)
    return float(cost[kept].min())


@settings(max_examples=6)
@given(
    size=st.floats(60.0, 200.0),
    floor=st.sampled_from([0.5, 0.8, 1.0]),
    missing=st.sampled_from([0.0, 0.2, 3.0]),
    held=st.integers(0, 3),
    measure=st.sampled_from(["expected", "cvar"]),
    seed=st.integers(0, 9),
)
def test_no_fleet_is_cheaper_than_the_plan(
    size: float, floor: float, missing: float, held: int, measure: Any, seed: int
) -> None:
    told = fleet(
        zones="ab",
        services={"s": service(floor=floor, missing=missing)},
        held=[Held(type="c7", zone="eua", count=held)],
        shortage=Shortage(measure=measure, quantile=0.8, tail=0.2),
    )
    small = case(told, weeks=1, need=needs(1, 1, size, seed, 20))
    found = solve_problem(small, gap=1e-3, seconds=5.0)
    assert whole(small, found.instances, found.begun)
    assert found.cost == pytest.approx(cheapest(small.need[:, 0, 0], floor, missing, held, measure == "cvar"), rel=2e-3)
    assert found.bound <= found.cost * (1 + 1e-9)


@given(
    drawn=st.lists(st.floats(0.0, 2000.0), min_size=3, max_size=30),
    capacity=st.floats(0.0, 2500.0),
    measure=st.sampled_from(["expected", "cvar"]),
)
def test_lines_are_the_shortage_itself(drawn: list[float], capacity: float, measure: Any) -> None:
    told = fleet(services={"s": service(floor=0.0)}, shortage=Shortage(measure=measure, tail=0.3))
    small = case(told, weeks=1, need=np.array(drawn)[:, None, None])
    by_hand = np.sort(np.maximum(np.array(drawn) - capacity, 0.0))[::-1]
    worst = by_hand if measure == "expected" else by_hand[: int(np.ceil(0.3 * len(drawn) - 1e-9))]
    assert expected(small, np.array([[capacity]]))[0, 0] == pytest.approx(worst.mean(), abs=1e-6)
    told_by = lines(small)
    assert max([0.0, *(told_by.height - told_by.slope * capacity)]) == pytest.approx(worst.mean(), abs=1e-6)


def test_cvar_keeps_more_than_the_mean_where_shortages_are_dear() -> None:
    told = fleet(services={"s": service(floor=0.3, missing=2.0)})
    careful = msgspec.structs.replace(told, shortage=Shortage(measure="cvar", tail=0.1))
    need = needs(1, 2, seed=3, scenarios=200)
    mean, tail = (solve_problem(case(one, weeks=2, need=need), gap=1e-3) for one in (told, careful))
    assert tail.instances.sum() > mean.instances.sum()


@pytest.mark.parametrize("zones", ["ab", "abc", "abcd"])
def test_patterns_and_exchange_find_what_the_solver_finds(zones: str) -> None:
    """The way of large programmes, held against HiGHS on one that it settles."""
    small = case(fleet(3, zones=zones), weeks=2)
    relaxed = programme.relax(small)
    instances, lots = search(small, *choose_patterns(small, patterns(small, relaxed)))
    assert whole(small, instances, lots)
    _, _, bound = programme.exactly(small, 0.005, 5.0)
    assert cost(small, instances, lots) <= 1.05 * bound
    assert relaxed.cost <= bound * (1 + 1e-6)


@pytest.mark.parametrize("seed", [0, 4, 11])
def test_exchange_comes_down_to_a_quota_that_lots_of_reservations_fill(seed: int) -> None:
    """A lot that lasts for weeks must not keep instances where a quota is broken."""
    kinds = {
        "m7": kind(lot=4, commitment_weeks=4),
        "c7": kind(family="c", on_demand=0.36, reserved=0.2, speed=0.87, lot=4, commitment_weeks=4),
    }
    told = fleet(6, types=kinds)
    free = case(told, weeks=6, seed=seed)
    cheap = np.array([name == "c7" for _, name in free.pools])
    most = float((free.pooled @ programme.relax(free).instances)[cheap].sum(axis=0).max())
    quota = Quota(family="c", region="eu", vcpus=int(0.7 * 8 * most))
    tight = case(msgspec.structs.replace(told, quotas=[quota]), weeks=6, seed=seed)
    relaxed = programme.relax(tight)
    assert whole(tight, *search(tight, *choose_patterns(tight, patterns(tight, relaxed))))


@settings(max_examples=15)
@given(
    zones=st.sampled_from(["a", "ab", "abc", "abcd"]),
    missing=st.sampled_from([0.0, 0.02, 0.5]),
    off=st.sampled_from([0.0, 0.02, 0.3]),
    size=st.floats(150.0, 900.0),
    seed=st.integers(0, 99),
)
def test_no_fleet_costs_less_than_the_bound(zones: str, missing: float, off: float, size: float, seed: int) -> None:
    """At any prices; at the relaxation's it lies above the relaxation."""
    floor = 0.0 if zones == "a" else 0.9
    told = fleet(zones=zones, services={f"s{i}": service(missing=missing, floor=floor) for i in range(2)})
    small = case(told, weeks=1, need=needs(2, 1, size, seed))
    relaxed = programme.relax(small)
    mixes = patterns(small, relaxed)
    price = relaxed.price * np.exp(np.random.default_rng(seed).normal(0, off, relaxed.price.shape))
    best, lots, _ = programme.exactly(small, 1e-3, 2.0)
    assert best is not None
    assert lots is not None
    least = lower_bound(small, mixes, price)
    assert least <= cost(small, best, lots) * (1 + 1e-6)
    assert off or least >= relaxed.cost * (1 - 1e-6)


@settings(max_examples=12)
@given(
    zones=st.sampled_from(["a", "ab", "abc", "abcd"]),
    missing=st.sampled_from([0.0, 0.02, 0.5]),
    size=st.floats(60.0, 400.0),
    seed=st.integers(0, 99),
)
def test_where_no_row_ties_services_the_bound_is_the_best_fleet(
    zones: str, missing: float, size: float, seed: int
) -> None:
    """Reservations that are dearer than what is on demand, and neither quota nor ramp: an instance costs its price."""
    kinds = {"m7": kind(reserved=0.5), "c7": kind(on_demand=0.36, reserved=0.5, speed=0.87)}
    only = service(missing=missing, floor=0.0 if zones == "a" else 0.9)
    small = case(fleet(zones=zones, types=kinds, services={"s": only}), weeks=1, need=needs(1, 1, size, seed))
    best, lots, _ = programme.exactly(small, 1e-7, 5.0)
    assert best is not None
    assert lots is not None
    wasteful = Patterns(np.zeros(1, int), np.zeros(1, int), best.T + 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bound, "MOST", 10_000_000)  # where fewer are looked at, parts of instances count
        least = lower_bound(small, wasteful, small.on_demand[:, None])
    assert least == pytest.approx(cost(small, best, lots), rel=1e-6)


def test_reservations_come_in_lots_after_their_lead_time_and_last_their_commitment() -> None:
    told = fleet(types={"m7": kind(lot=3, lead_weeks=2, commitment_weeks=2)})
    plan = planned(told, weeks=5)
    begun = [pool.lots for pool in plan.pools]
    assert any(map(any, begun))
    assert not any(lots[0] or lots[1] for lots in begun)
    pool = plan.pools[0]
    assert pool.reserved == [3 * (pool.lots[t] + (pool.lots[t - 1] if t else 0)) for t in range(5)]


def test_a_type_that_is_not_there_yet_is_not_planned_and_its_price_is_told() -> None:
    told = fleet(types={"m6": kind(on_demand=0.5), "m7": kind(on_demand=0.2, reserved=0.15)})
    late = msgspec.structs.replace(told.types["m7"], first_week=case(told).weeks[2])
    plan = planned(msgspec.structs.replace(told, types={**told.types, "m7": late}))
    assert all(mix.counts[:2] == [0, 0] for mix in plan.mixes if mix.type == "m7")
    assert any(mix.counts[2] for mix in plan.mixes if mix.type == "m7")
    assert any("m7 in eua, eub or euc before it is to be had would save" in one.words for one in plan.prices)


def test_a_fleet_without_a_plan_is_told_which_quota_is_in_the_way() -> None:
    told = fleet(types={"m7": kind()}, quotas=[Quota(family="m", region="eu", vcpus=160)])
    with pytest.raises(DataRefused, match=r"It lacks [\d,]+ vCPUs to the quota of m in eu \(week of 2026-03-\d\d\)"):
        solve_problem(case(told))


def test_a_fleet_without_a_plan_is_told_which_ramp_is_in_the_way() -> None:
    told = fleet(
        types={"m7": kind()}, ramps={"m7": Ramp(add=1, remove=1)}, running=[Running(type="m7", zone="eua", count=2)]
    )
    with pytest.raises(DataRefused, match=r"instances a week to the ramp up of m7 in eu"):
        solve_problem(case(told))


def test_a_quota_costs_what_it_says() -> None:
    """The dual of a quota against the relaxation with one instance more."""
    told = fleet(quotas=[Quota(family="m", region="eu", vcpus=160)])
    tight = case(told)
    relaxed = programme.relax(tight)
    said = next(one for one in prices(tight, relaxed) if "m in eu" in one.words)
    more = replace(tight, fleet=msgspec.structs.replace(told, quotas=[Quota(family="m", region="eu", vcpus=161)]))
    saved = relaxed.cost - programme.relax(more).cost
    assert saved > 0
    assert said.saves == pytest.approx(8 * saved, rel=0.05)  # a step of one vCPU, told for an instance of eight


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_a_plan_is_made_without_a_warning_whatever_fresh_memory_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory that was just given is of any content: here of infinities of both signs, whose sum is no number."""
    empty = np.empty

    def dirty(*arguments: Any, **named: Any) -> Any:
        given = empty(*arguments, **named)
        if given.dtype == float:
            given.flat[::2], given.flat[1::2] = np.inf, -np.inf
        return given

    monkeypatch.setattr(np, "empty", dirty)
    told = fleet(2, ramps={"m7": Ramp(add=30, remove=30)}, quotas=[Quota(family="m", region="eu", vcpus=10_000)])
    assert planned(told, weeks=3, gap=0.1).mixes


def test_a_plan_of_one_week_has_no_step_that_a_ramp_could_forbid() -> None:
    plan = planned(fleet(1, ramps={"m7": Ramp(add=1, remove=1)}), weeks=1)
    assert sum(pool.running[0] for pool in plan.pools) > 1


def test_a_floor_without_any_type_to_run_on_is_told() -> None:
    late = kind(first_week=MONDAY + timedelta(weeks=1))
    with pytest.raises(DataRefused, match="in some week a service has no type that can be had"):
        planned(fleet(1, types={"m7": late}), weeks=2)
