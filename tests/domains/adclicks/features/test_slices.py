"""Slices: where a click belongs, and how sparse slices share what they have with their nearest kin."""

from collections import Counter

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.domains.adclicks.features import slices
from headgate.domains.adclicks.features.kernel import FEATURES
from headgate.domains.adclicks.features.slices import GATEWAY_USERS, LEAVES, device_codes, groups, pool

weights = st.lists(st.one_of(st.just(0), st.integers(0, 300)), min_size=len(LEAVES), max_size=len(LEAVES))


def parents(name: str) -> list[str]:
    """A leaf, its parents, and "all"."""
    parts = name.split("/")
    return [*("/".join(parts[:depth]) for depth in (3, 2, 1)), "all"]


def pooled(weight: list[int], least: int) -> list[str]:
    return pool(np.array(weight), least)


@given(weights, st.integers(1, 400))
def test_every_leaf_gets_one_slice_of_its_own_line(weight: list[int], least: int) -> None:
    names = pooled(weight, least)
    assert len(names) == len(LEAVES)
    assert all(name in parents(leaf) for name, leaf in zip(names, LEAVES, strict=True))


@given(weights, st.integers(1, 400))
def test_no_slice_but_all_is_sparse(weight: list[int], least: int) -> None:
    mass = Counter[str]()
    for name, count in zip(pooled(weight, least), weight, strict=True):
        mass[name] += count
    assert all(count >= least for name, count in mass.items() if name != "all")


@given(weights, st.integers(1, 400))
def test_a_leaf_with_enough_stands_alone(weight: list[int], least: int) -> None:
    for name, leaf, count in zip(pooled(weight, least), LEAVES, weight, strict=True):
        assert (name == leaf) == (count >= least)


@given(weights, st.integers(1, 400))
def test_no_leaf_moves_up_further_than_it_must(weight: list[int], least: int) -> None:
    """A part is left for its parent only where all that came up to it is not enough."""
    height = [parents(leaf).index(name) for leaf, name in zip(LEAVES, pooled(weight, least), strict=True)]
    for leaf, reached in zip(LEAVES, height, strict=True):
        for level in range(reached):
            part = parents(leaf)[level]
            kin = [n for n, other in enumerate(LEAVES) if parents(other)[level] == part and height[n] >= level]
            assert sum(weight[n] for n in kin) < least


def test_sparse_leaves_share_their_parent_and_a_sparse_parent_goes_up_with_the_rest() -> None:
    weight = dict.fromkeys(LEAVES, 0)
    weight |= {"mobile/in/direct": 60, "mobile/in/gateway": 50, "mobile/out/direct": 500}
    weight |= {"desktop/in/direct": 70, "desktop/out/gateway": 40, "tablet/in/direct": 90}
    names = dict(zip(LEAVES, pooled(list(weight.values()), 100), strict=True))
    assert names["mobile/in/direct"] == names["mobile/in/gateway"] == "mobile/in"
    assert names["mobile/out/direct"] == "mobile/out/direct"
    assert names["desktop/in/direct"] == names["desktop/out/gateway"] == names["desktop/in/gateway"] == "desktop"
    assert names["tablet/in/direct"] == names["other/out/direct"] == names["mobile/out/gateway"] == "all"


@given(weights, st.integers(1, 400))
def test_groups_lead_every_leaf_to_its_slice(weight: list[int], least: int) -> None:
    names = pooled(weight, least)
    distinct, index = groups(names)
    assert distinct == sorted(set(names))
    assert [distinct[i] for i in index] == names


@pytest.mark.parametrize("device", ["mobile", "desktop", "tablet", "other", "fridge"])
@pytest.mark.parametrize("logged_in", [False, True])
@pytest.mark.parametrize(("users", "route"), [(GATEWAY_USERS, "direct"), (GATEWAY_USERS + 1, "gateway")])
def test_a_click_is_in_the_leaf_that_its_device_login_and_address_say(
    device: str, logged_in: bool, users: int, route: str
) -> None:
    x = np.zeros((1, len(FEATURES)), np.float32)
    x[0, FEATURES.index("logged_in")] = logged_in
    x[0, FEATURES.index("ip_users_1d")] = users
    (found,) = slices.leaf(device_codes(pl.Series([device])), x)
    name = "other" if device == "fridge" else device
    assert LEAVES[found] == f"{name}/{'in' if logged_in else 'out'}/{route}"
