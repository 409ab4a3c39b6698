"""Cases and rulings as rows of the database, and the events that change them."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from headgate.decisions.reviews.state import Ruled, State, after, ruling_of
from headgate.decisions.reviews.tables import tables
from headgate.decisions.reviews.trail import What, Writing

if TYPE_CHECKING:
    from sqlalchemy import Connection


def happen(session: Writing, state: State | None, key: str, what: What, who: str, details: Mapping[str, Any]) -> State:
    """Append an event of a case, and bring its row and that of its ruling up to it. Who had claimed it has lost it."""
    from sqlalchemy import insert, update

    event = session.append(key, what, who, details)
    moved = after(state, event)
    assert moved is not None
    table, values = tables().cases, _case_row(moved)
    if state is None:
        first = values | {"token": 0, "holder": None, "held_until": None, "claimed": None}
        session.connection.execute(insert(table).values(domain=session.domain, key=key, **first))
    else:
        mine = (table.c.domain == session.domain) & (table.c.key == key)
        freed = {"token": table.c.token + 1, "holder": None, "held_until": None, "claimed": None}
        session.connection.execute(update(table).where(mine).values(**values, **freed))
    if what == "ruled":
        keep(session, ruling_of(event))
    elif what == "undone":
        rulings = tables().rulings
        undone = (rulings.c.domain == session.domain) & (rulings.c.seq == details["ruling"])
        session.connection.execute(update(rulings).where(undone).values(undone=event.at))
    return moved


def keep(session: Writing, ruling: Ruled) -> None:
    """Insert the row of a ruling."""
    from sqlalchemy import insert

    row = vars(ruling) | {"labels": json.dumps(dict(ruling.labels), sort_keys=True), "domain": session.domain}
    session.connection.execute(insert(tables().rulings).values(**row))


def find(connection: "Connection", domain: str, key: str) -> Mapping[Any, Any] | None:
    """The row of a case; None where there is none."""
    from sqlalchemy import select

    table = tables().cases
    query = select(table).where(table.c.domain == domain, table.c.key == key)
    return connection.execute(query).mappings().first()


def rulings_of(connection: "Connection", domain: str, key: str) -> list[Ruled]:
    """The rulings on a case, oldest first, without those that were taken back."""
    from sqlalchemy import select

    table = tables().rulings
    query = select(table).where(table.c.domain == domain, table.c.key == key, table.c.undone.is_(None))
    return [ruled(row) for row in connection.execute(query.order_by(table.c.seq)).mappings()]


def state(row: Mapping[Any, Any]) -> State:
    """The case that a row tells."""
    names = ("key", "changed", "opened_at", "deadline", "awaits", "escalated", "appealed", "available")
    return State(opened=json.loads(row["opened"]), **{name: row[name] for name in names})


def ruled(row: Mapping[Any, Any]) -> Ruled:
    """The ruling that a row tells."""
    told = {name: value for name, value in row.items() if name != "domain"}
    return Ruled(**(told | {"labels": json.loads(row["labels"])}))


def _case_row(case: State) -> dict[str, Any]:
    names = ("changed", "priority", "opened_at", "deadline", "awaits", "escalated", "appealed", "available")
    return {name: getattr(case, name) for name in names} | {"opened": json.dumps(dict(case.opened), sort_keys=True)}
