"""What the ledger knows of orders, in whichever words its rows were written."""

from dataclasses import replace
from typing import Any, cast

import pytest

from headgate.domains.capacity.orders.placed import ORDERED, ORDERING, REFUSED, read_placed
from headgate.registry.ledger import Entry, OwnWhat

LINE = {"plan": "p1", "line": "l1", "kind": "schedule", "group": "web", "start": "2026-03-02", "count": 5}


def entries(*whats: OwnWhat) -> list[Entry]:
    return [Entry("capacity", what, "ada", "", details=dict(LINE), seq=n) for n, what in enumerate(whats, 1)]


@pytest.mark.parametrize(
    ("now", "before"),
    [
        ((ORDERING,), ("ordering",)),
        ((ORDERING, ORDERED), ("ordering", "ordered")),
        ((ORDERING, REFUSED), ("ordering", "order-refused")),
    ],
)
def test_orders_of_before_kinds_bore_their_domains_name_are_known_too(now: tuple, before: tuple) -> None:
    """Else they would be placed a second time."""
    mine = entries(*now)
    old = [replace(one, what=cast(Any, what)) for one, what in zip(mine, before, strict=True)]
    assert read_placed(old) == read_placed(mine)
    assert read_placed(mine).newest == 1
