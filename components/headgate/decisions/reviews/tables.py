"""Where reviews lie: four tables in a database of their own, SQLite or PostgreSQL.

`events` is the record, hash-chained by domain; `cases` and `rulings` are what the events add up to, so that nobody has
to read them all; claims stand in `cases` alone, as they are no history. `queues` counts every change, claims included.
"""

import os
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headgate.errors import HeadgateError
from headgate.registry.tables import open_database
from headgate.settings import Settings

if TYPE_CHECKING:
    from sqlalchemy import Engine


@dataclass(frozen=True)
class Tables:
    """The four tables."""

    events: Any
    cases: Any
    rulings: Any
    queues: Any
    metadata: Any


#: What tells of a case that waits in which place, and whether somebody has it.
_ORDER = ("priority", "deadline", "opened_at", "key", "available", "holder", "held_until")


@cache
def tables() -> Tables:
    """The four tables; SQLAlchemy is imported when the first of them is needed."""
    from sqlalchemy import Boolean, Column, Float, Index, Integer, MetaData, String, Table, Text, UniqueConstraint

    def time(name: str, *, null: bool = False) -> Column[Any]:
        return Column(name, Float(53), nullable=null)  # epoch seconds of the database's clock

    metadata = MetaData()
    events = Table(
        "headgate_review_events",
        metadata,
        Column("domain", String(64), primary_key=True),
        Column("seq", Integer, primary_key=True, autoincrement=False),
        time("at"),
        Column("key", String(160), nullable=False),
        Column("what", String(16), nullable=False),
        Column("who", Text, nullable=False),
        Column("details", Text, nullable=False),
        Column("prev_hash", String(64), nullable=False),
        Column("hash", String(64), nullable=False),
        UniqueConstraint("domain", "prev_hash"),
        Index("headgate_review_events_of_case", "domain", "key"),
    )
    cases = Table(
        "headgate_review_cases",
        metadata,
        Column("domain", String(64), primary_key=True),
        Column("key", String(160), primary_key=True),
        Column("changed", Integer, nullable=False),  # the newest event of it
        Column("opened", Text, nullable=False),  # what it was opened with, as JSON
        Column("priority", Float(53), nullable=False),
        time("opened_at"),
        time("deadline", null=True),
        Column("awaits", String(16), nullable=False),  # a reading; "" where none is left
        Column("escalated", Boolean, nullable=False),
        Column("appealed", Text, nullable=False),  # by which client key; "" if it was not
        time("available"),  # nobody can claim it before
        Column("token", Integer, nullable=False),  # grows with each claim, and with each change that ends one
        Column("holder", Text),
        time("held_until", null=True),
        time("claimed", null=True),
        # All that a queue is ordered and counted by, so that its cases need not be read for it.
        Index("headgate_review_cases_waiting", "domain", "awaits", "escalated", *_ORDER),
    )
    rulings = Table(
        "headgate_review_rulings",
        metadata,
        Column("domain", String(64), primary_key=True),
        Column("seq", Integer, primary_key=True, autoincrement=False),  # of its event
        Column("key", String(160), nullable=False),  # of the case; "" where somebody ruled without one
        Column("decision_id", String(160)),
        Column("client", String(200), nullable=False),
        Column("reading", String(16), nullable=False),
        Column("outcome", Text, nullable=False),
        Column("labels", Text, nullable=False),
        Column("why", Text, nullable=False),
        Column("who", Text, nullable=False),
        Column("role", Text, nullable=False),
        Column("source", String(16), nullable=False),
        Column("counts", Boolean, nullable=False),  # of those that count, the newest holds
        time("at"),
        time("seconds", null=True),  # from the claim to the ruling
        time("undone", null=True),
        UniqueConstraint("domain", "client"),
        Index("headgate_review_rulings_of_decision", "domain", "decision_id"),
        Index("headgate_review_rulings_of_case", "domain", "key"),
    )
    queues = Table(
        "headgate_review_queues",
        metadata,
        Column("domain", String(64), primary_key=True),
        Column("moves", Integer, nullable=False),
    )
    return Tables(events, cases, rulings, queues, metadata)


def database(settings: Settings) -> "Engine":
    """The database that the settings name, with its tables. Raises HeadgateError where it does not answer."""
    url = settings.reviews_url
    if url.startswith("sqlite:///") and not Path(url.removeprefix("sqlite:///")).is_file():
        settings.home.mkdir(parents=True, exist_ok=True)
        _opened.cache_clear()  # its file went: the tables are made again
    try:
        return _opened(url, os.getpid())
    except HeadgateError:
        raise
    except Exception as error:
        raise HeadgateError(unreachable(url, error)) from error


def exists(settings: Settings) -> bool:
    """Whether there is a database to ask: asking makes none."""
    url = settings.reviews_url
    return not url.startswith("sqlite:///") or Path(url.removeprefix("sqlite:///")).is_file()


@lru_cache(16)
def _opened(url: str, process: int) -> "Engine":
    """One engine for each process: what is forked must not share its connections."""
    metadata = tables().metadata
    return open_database(url, metadata, lock="headgate_reviews", setting="HEADGATE_REVIEWS", what="reviews")


def unreachable(url: str, error: Exception) -> str:
    """That the database does not answer, without its password."""
    from sqlalchemy import make_url

    try:
        shown = make_url(url).render_as_string(hide_password=True)
    except Exception:
        shown = "HEADGATE_REVIEWS"
    said = str(error).splitlines()[0][:200]
    return (
        f"The reviews at {shown} do not answer ({type(error).__name__}: {said}). Nothing is ruled or replayed without "
        "them: start their database, or set HEADGATE_REVIEWS to where it is."
    )
