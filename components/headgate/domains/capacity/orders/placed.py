"""What the ledger knows of orders: which lines of a plan are placed, what earlier plans reserved and scheduled."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from headgate.domains.capacity.orders.fleet import Held
from headgate.registry.ledger import Entry, OwnWhat

#: An order is about to be placed, was placed, or was refused.
ORDERING = OwnWhat("capacity.ordering")
ORDERED = OwnWhat("capacity.ordered")
REFUSED = OwnWhat("capacity.refused")

#: What ledgers have called these from before kinds bore their domain's name. Their rows stay as they were written.
_BEFORE: Mapping[str, OwnWhat] = {"ordering": ORDERING, "ordered": ORDERED, "order-refused": REFUSED}


@dataclass(frozen=True)
class Placed:
    """What the entries of a domain say of orders."""

    newest: int  # the sequence number of the newest order that was begun; 0 if none was
    plan: str  # of that order
    done: Mapping[tuple[str, str], Mapping[str, Any]]  # plan and line → what was placed
    begun: frozenset[tuple[str, str]]  # lines of which nobody knows yet how they ended

    @property
    def held(self) -> list[Held]:
        """The reservations, for as long as they are committed."""
        rows = [told for told in self.done.values() if told["kind"] == "reservation"]
        return [
            Held(
                type=told["type"],
                zone=told["zone"],
                count=told["count"],
                start=(start := date.fromisoformat(told["start"])),
                end=start + timedelta(weeks=told["weeks"]),
            )
            for told in rows
        ]

    @property
    def scheduled(self) -> dict[tuple[str, date], int]:
        """The size that a group was given from a day on; of two orders for one day the later counts."""
        rows = [told for told in self.done.values() if told["kind"] == "schedule"]
        return {(told["group"], date.fromisoformat(told["start"])): told["count"] for told in rows}


def read_placed(entries: Sequence[Entry] | Iterable[Entry]) -> Placed:
    """Read the orders from entries, oldest first."""
    newest, plan = 0, ""
    done: dict[tuple[str, str], Mapping[str, Any]] = {}
    begun: set[tuple[str, str]] = set()
    for entry in entries:
        what = _BEFORE.get(entry.what, entry.what)
        if what not in (ORDERING, ORDERED, REFUSED):
            continue
        key = (str(entry.details["plan"]), str(entry.details["line"]))
        if what == ORDERING:
            newest, plan = entry.seq, key[0]
            begun.add(key)
        else:
            begun.discard(key)
            if what == ORDERED:
                done[key] = entry.details
    return Placed(newest, plan, done, frozenset(begun))
