"""What people ruled, as labels that a snapshot reads as of an instant: nothing that came later."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal, get_args, get_origin

import msgspec
import polars as pl

from headgate.contract.reviews import alternatives
from headgate.contract.row import INSTANT
from headgate.decisions.reviews import trail
from headgate.decisions.reviews.tables import exists, tables
from headgate.domain import Domain
from headgate.settings import Settings

#: The columns of a label; those of the domain's own labels follow, each with "label_" before its name.
LABEL: dict[str, pl.DataType] = {
    "decision_id": pl.String(),  # null where the case is of none
    "case": pl.String(),
    "subjects": pl.List(pl.String()),
    "kind": pl.String(),
    "outcome": pl.String(),
    "reading": pl.String(),  # first, second, third, appeal
    "final": pl.Boolean(),  # of the case's rulings, the one that held at the instant
    "source": pl.String(),  # queue, audit, second, third, appeal; policy: nobody ruled in time
    "propensity": pl.Float64(),  # the chance that this had to become a case: 1 / propensity is its weight
    "second_share": pl.Float64(),  # the chance that the case had to be read twice
    "who": pl.String(),
    "role": pl.String(),
    "opened_at": INSTANT,
    "ruled_at": INSTANT,
    "seconds": pl.Float64(),  # from the claim to the ruling
}

_DTYPES: dict[Any, pl.DataType] = {str: pl.String(), bool: pl.Boolean(), int: pl.Int64(), float: pl.Float64()}


def labels(settings: Settings, domain: Domain, as_of: datetime) -> pl.DataFrame:
    """All rulings on cases up to `as_of`, oldest first, but for those that were taken back by then (`columns`).

    The same instant gives the same rows for ever, once it is over.
    """
    if not exists(settings):
        return pl.DataFrame(schema=columns(domain))
    rows = _read(settings, domain.name, as_of.astimezone(UTC).timestamp())
    final = {row["key"]: row["seq"] for row in rows if row["counts"]}
    own = own_columns(domain)
    told = [_told(row, final.get(row["key"]) == row["seq"], own) for row in rows]
    return pl.DataFrame(told, schema=columns(domain), orient="row")


def columns(domain: Domain) -> dict[str, pl.DataType]:
    """The columns of `labels`."""
    return LABEL | {f"label_{name}": dtype for name, dtype in own_columns(domain).items()}


def own_columns(domain: Domain) -> dict[str, pl.DataType]:
    """The domain's own labels: text, numbers and truths as such, all else as JSON."""
    struct = domain.ruled_on.labels
    return {} if struct is None else {one.name: _dtype(one.type) for one in msgspec.structs.fields(struct)}


def _dtype(declared: Any) -> pl.DataType:
    found: set[Any] = set()
    for one in alternatives(declared):
        found |= {type(value) for value in get_args(one)} if get_origin(one) is Literal else {one}
    return _DTYPES.get(next(iter(found)), pl.String()) if len(found) == 1 else pl.String()


def _read(settings: Settings, domain: str, as_of: float) -> Sequence[Mapping[Any, Any]]:
    from sqlalchemy import select

    cases, made = tables().cases, tables().rulings
    query = (
        select(made, cases.c.opened, cases.c.opened_at)
        .join(cases, (cases.c.domain == made.c.domain) & (cases.c.key == made.c.key))
        .where(made.c.domain == domain, made.c.at <= as_of)
        .where(made.c.undone.is_(None) | (made.c.undone > as_of))
        .order_by(made.c.seq)
    )
    with trail.reading(settings) as connection:
        return connection.execute(query).mappings().all()


def _told(row: Mapping[Any, Any], final: bool, own: Mapping[str, pl.DataType]) -> tuple[Any, ...]:
    opened, told = json.loads(row["opened"]), json.loads(row["labels"])
    common = (
        row["decision_id"],
        row["key"],
        opened["subjects"],
        opened["kind"],
        row["outcome"],
        row["reading"],
        final,
        row["source"],
        opened["propensity"],
        opened["second_share"],
        row["who"],
        row["role"],
        *(datetime.fromtimestamp(row[name], UTC) for name in ("opened_at", "at")),
        row["seconds"],
    )
    return common + tuple(_value(told.get(name), dtype) for name, dtype in own.items())


def _value(value: Any, dtype: pl.DataType) -> Any:
    return json.dumps(value, sort_keys=True) if dtype == pl.String() and isinstance(value, list | dict) else value
