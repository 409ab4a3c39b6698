"""Headroom: each reason is applied once, wherever it comes from, and nothing can apply it twice."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.domains.capacity.orders.demand import needs
from headgate.domains.capacity.orders.headroom import CARRIED, Headroom, Item, Load, add_headroom
from headgate.domains.capacity.orders.solve import solve_problem

from .worlds import case, fleet, kind, service

full = st.floats(0.2, 1.0)
burst = st.floats(1.0, 3.0)


@given(utilisation=full, burst=burst, zones=st.sampled_from(["ab", "abc", "abcd"]), load=st.floats(1.0, 1e6))
def test_a_need_is_the_load_times_utilisation_and_burst_whatever_zones_there_are(
    utilisation: float, burst: float, zones: str, load: float
) -> None:
    told = fleet(zones=zones, services={"s": service(utilisation=utilisation, burst=burst)})
    need = needs(told, Load(np.full((2, 1, 1), load)))
    assert need == pytest.approx(np.full((2, 1, 1), load * burst / utilisation))
    book = add_headroom(told, "s")
    assert {item.name: item.carried for item in book.items} == dict(CARRIED)
    assert next(item for item in book.items if item.name == "zone loss").value == len(zones) / (len(zones) - 1)


def test_a_need_cannot_be_multiplied_again() -> None:
    book = add_headroom(fleet(), "s0")
    with pytest.raises(TypeError, match="once"):
        book.need(book.need(Load(np.ones(3))))  # type: ignore[arg-type]


def test_a_reason_cannot_stand_twice_in_the_ledger_nor_be_left_out() -> None:
    items = add_headroom(fleet(), "s0").items
    for wrong in ((*items, items[0]), items[:-1], (*items[:-1], items[0])):
        with pytest.raises(ValueError, match="once"):
            Headroom(wrong)


def test_the_loss_of_a_zone_and_the_quantile_cannot_be_made_factors() -> None:
    for name in ("zone loss", "quantile"):
        item = Item(name, 1.5, "")  # type: ignore[arg-type]
        assert item.carried != "factor"
        with pytest.raises(AttributeError):
            item.carried = "factor"  # type: ignore[misc]


@pytest.mark.parametrize("zones", ["ab", "abc", "abcd"])
def test_the_fleet_pays_for_the_loss_of_a_zone_once(zones: str) -> None:
    n = len(zones)
    told = fleet(zones=zones, types={"m7": kind()}, services={"s": service(floor=1.0, missing=0.0)})
    small = case(told, weeks=1, need=np.full((5, 1, 1), 1200.0))  # of full instances of 100 units
    running = float(solve_problem(small, gap=1e-4).instances.sum())
    assert running == 12 * n / (n - 1)
