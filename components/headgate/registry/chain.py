"""Rows that carry the hash of the row before: one that was altered, dropped or slipped in shows.

The ledger is such a chain, and so is the trail of every domain's reviews.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any, cast

#: The hash before the first row.
GENESIS = "0" * 64


class Link:
    """A row of a chain, a dataclass that has these fields among others; rows are numbered from 1."""

    seq: int
    prev_hash: str
    hash: str  # as it was written

    def digest(self) -> str:
        """Its hash, as it should be: the SHA-256 of everything but the hash itself."""
        return digest(asdict(cast(Any, self)) | {"hash": ""})

    @property
    def anchor(self) -> str:
        """What can be kept elsewhere, to show later that this row was there."""
        return f"{self.seq}:{self.hash}"


def digest(told: Mapping[str, Any]) -> str:
    """The SHA-256 of `told`, plain values."""
    return hashlib.sha256(json.dumps(told, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def first_broken(links: Iterable[Link]) -> int | None:
    """The place, from 1, of the first of `links` that is not what it was; None where all are."""
    before = GENESIS
    for place, link in enumerate(links, 1):
        if link.seq != place or link.prev_hash != before or link.hash != link.digest():
            return place
        before = link.hash
    return None


def storable(value: str) -> str:
    """`value` without what SQLite (lone surrogates, from odd bytes on a command line) or PostgreSQL (NUL) refuse."""
    return value.encode("utf-8", "replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")
