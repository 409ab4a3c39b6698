"""Copy reviews from one database to another, for backups: row by row, so from SQLite to PostgreSQL and back."""

from dataclasses import replace
from typing import Any

from headgate.decisions.reviews.tables import database, exists, tables
from headgate.decisions.reviews.verify import verify
from headgate.errors import UsageError
from headgate.settings import Settings


def copy_reviews(settings: Settings, target: str) -> None:
    """Copy all reviews, as they stand at one moment, to the empty database at `target`, all or nothing.

    Nobody holds a claim there. Raises UsageError where the target has other reviews; the same ones stay as they are.
    """
    from sqlalchemy import func, insert, select, text

    ours = tables()
    with database(settings).begin() as connection:
        if connection.dialect.name == "postgresql":  # every question of one transaction sees the same moment
            connection.execute(text("set transaction isolation level repeatable read"))
        read = {one.name: [dict(row) for row in connection.execute(select(one)).mappings()] for one in _all()}
    free = {"holder": None, "held_until": None, "claimed": None}
    read[ours.cases.name] = [row | free for row in read[ours.cases.name]]
    with database(replace(settings, reviews=target)).begin() as connection:
        there = connection.execute(select(func.count()).select_from(ours.events)).scalar_one()
        if there:
            hashes = set(connection.execute(select(ours.events.c.hash)).scalars())
            if hashes != {row["hash"] for row in read[ours.events.name]}:
                raise UsageError("The database that HEADGATE_REVIEWS names has other reviews: name an empty one.")
            return
        for one in _all():
            if read[one.name]:
                connection.execute(insert(one), read[one.name])


def verify_reviews(settings: Settings) -> None:
    """Hold the trails of all domains against their hashes. Raises HeadgateError as `verify` does; makes no database."""
    from sqlalchemy import select

    if not exists(settings):
        return
    with database(settings).begin() as connection:
        domains = sorted(connection.execute(select(tables().events.c.domain).distinct()).scalars())
    for domain in domains:
        verify(settings, domain)


def _all() -> tuple[Any, ...]:
    ours = tables()
    return ours.events, ours.cases, ours.rulings, ours.queues
