"""Tiny real bundles of the toy domain, and what its endpoint takes."""

from pathlib import Path

import polars as pl

from headgate.files import write_json
from headgate.registry.bundles import CARD, seal_bundle
from headgate.registry.golden import EXPECTED, GOLDEN

from .toy import Rooms

ROOMS = "abcdefgh"

DECIDE = "/v1/rooms/decisions"

#: A reading that is fine for a bundle as `make_bundle` makes it.
READING = {"room": "a", "degrees": 20.0, "guest": "g"}


def make_bundle(
    parent: Path, name: str, *, usual: float = 20.0, width: float = 2.0, golden_shift: float | None = 0.0
) -> Path:
    """A bundle for which every room is `usual` °C, give or take `width`.

    `golden_shift` falsifies the golden answers; None leaves them out.
    """
    parts = parent / f"{name}-parts"
    write_json(parts / CARD, {"domain": "rooms", "means": dict.fromkeys(ROOMS, usual), "width": width})
    if golden_shift is not None:
        inputs = pl.DataFrame({"room": list(ROOMS), "degrees": [15.0, 17.0, 19.0, 20.0, 20.5, 21.0, 23.0, 25.0]})
        answers = Rooms(parts).decide(inputs).select("usual", "outcome")
        shifted = answers.with_columns(pl.col("usual") + golden_shift).rename(lambda column: f"{EXPECTED}{column}")
        inputs.hstack(shifted).write_parquet(parts / GOLDEN)
    seal_bundle([parts], parent / name)
    return parent / name
