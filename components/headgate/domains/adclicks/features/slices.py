"""Slices of traffic that are judged on their own: device × login × behind a gateway or not."""

from collections.abc import Sequence
from itertools import product

import numpy as np
import polars as pl
from numpy.typing import NDArray

from headgate.domains.adclicks.data.schema import DEVICES
from headgate.domains.adclicks.features.kernel import FEATURES

#: An IP that served more users than this within a day before the click is a gateway: a carrier, an office, a farm.
GATEWAY_USERS = 8

LOGIN = ("out", "in")
ROUTE = ("direct", "gateway")

#: The finest slices, e.g. "mobile/in/gateway". A slice's parents are its prefixes, and "all".
LEAVES: tuple[str, ...] = tuple("/".join(parts) for parts in product(DEVICES, LOGIN, ROUTE))

_DEVICE = {name: code for code, name in enumerate(DEVICES)}
_IP_USERS = FEATURES.index("ip_users_1d")
_LOGGED_IN = FEATURES.index("logged_in")


def device_codes(device: pl.Series) -> NDArray[np.int64]:
    """Codes [n] of the device column; a device that is not known counts as "other"."""
    return device.replace_strict(_DEVICE, default=_DEVICE["other"], return_dtype=pl.Int64).to_numpy()


def leaf(device: NDArray[np.int64], features: NDArray[np.float32]) -> NDArray[np.int64]:
    """Index into `LEAVES` [n] of clicks with `device` codes [n] and feature vectors [n, d]."""
    login = features[:, _LOGGED_IN] > 0
    gateway = features[:, _IP_USERS] > GATEWAY_USERS
    return (device * len(LOGIN) + login) * len(ROUTE) + gateway


def pool(weight: NDArray[np.int64], least: int) -> list[str]:
    """The slice that each leaf is calibrated in, given how many purchasing clicks each has.

    From the finest level up: leaves of one parent that have fewer than `least` share the parent; where the shared part
    still has fewer, it moves up with the rest of its parent's sparse leaves, up to "all".
    """
    group = list(LEAVES)
    for depth in (2, 1, 0):
        mass: dict[str, int] = {}
        for name, count in zip(group, weight, strict=True):
            mass[name] = mass.get(name, 0) + int(count)
        group = [_parent(name, depth) if mass[name] < least else name for name in group]
    return group


def _parent(name: str, depth: int) -> str:
    """The first `depth` parts of a slice's name; "all" is the parent of everything."""
    return "/".join(name.split("/")[:depth]) or "all"


def groups(names: Sequence[str]) -> tuple[list[str], NDArray[np.int64]]:
    """The distinct pooled slices, sorted, and for each leaf the index [len(LEAVES)] of its own."""
    distinct = sorted(set(names))
    return distinct, np.array([distinct.index(name) for name in names])
