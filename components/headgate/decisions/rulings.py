"""What people ruled on decisions, by the queue or by hand: it holds whatever is replayed.

Rulings lie in the database of reviews, indexed by decision, so that a reader of a part of the log asks for that part's
alone: `reading.effective` lets them hold above every correction. Before there was a database, each call of `rule` wrote
a file below `corrections/DOMAIN/rulings`: whoever looks next brings those in.
"""

import json
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cache, lru_cache
from pathlib import Path
from typing import Any
from uuid import uuid4

import polars as pl

from headgate.data import datasets
from headgate.decisions.layout import check, corrections_folder
from headgate.decisions.reviews import rows, trail
from headgate.decisions.reviews.state import ruling_of
from headgate.decisions.reviews.tables import exists, tables
from headgate.decisions.reviews.trail import Writing
from headgate.domain import Domain
from headgate.errors import UsageError
from headgate.settings import Settings

#: What a correction is called that a person made, and the folder of those from before there was a database.
RULINGS = "rulings"

#: Letters of a decision's id that tell its day; from so many decisions on, a day's rulings are read together; seconds
#: after which a database that was written to is settled.
DAY, MANY, SETTLED = 8, 100, 1.0


def rule(
    settings: Settings, domain: Domain, decisions: Sequence[str], *, outcome: str, who: str, why: str, client: str = ""
) -> None:
    """Note a person's ruling on `decisions`: it holds from now on, whatever is replayed. The newest ruling counts.

    With a `client` key, a call that is repeated is the same one. Raises UsageError where `outcome` is none that the
    domain knows.
    """
    if outcome not in domain.decides.words:
        known = ", ".join(domain.decides.words)
        raise UsageError(f"{domain.name} has no outcome {outcome!r}; there are: {known}.")
    bring_in(settings, domain.name)
    with trail.writing(settings, domain.name) as session:
        _rule(session, client or uuid4().hex, [(one, outcome, who, why) for one in decisions])


def held(settings: Settings, domain: str, decisions: Sequence[str]) -> dict[str, str]:
    """The outcomes of those of `decisions` that people ruled on: of each the newest ruling that counts.

    Reads the rulings between the first and the last of their ids, or by id where many on others lie between; of a part
    of a day on which nobody rules any more, from memory.
    """
    bring_in(settings, domain)
    if not decisions or not exists(settings):
        return {}
    first, last = min(decisions), max(decisions)
    mark = _mark(settings) if len(decisions) >= MANY and first[:DAY] == last[:DAY] else None
    if mark is None:
        return dict(_asked(settings, domain, decisions, first, last))  # of several on one decision, the last
    known = _of_day(settings, domain, first[:DAY], mark)
    return {one: known[one] for one in decisions if one in known}


def told(settings: Settings, domain: str, decision_id: str) -> list[dict[str, Any]]:
    """The rulings on one decision that were not taken back, oldest first: outcome, who, why, and what they came of."""
    from sqlalchemy import select

    bring_in(settings, domain)
    if not exists(settings):
        return []
    made = tables().rulings
    shown = (made.c.decision_id, made.c.outcome, made.c.who, made.c.why, made.c.source, made.c.at)
    query = select(*shown).where(made.c.domain == domain, made.c.decision_id == decision_id)
    with trail.reading(settings) as connection:
        found = connection.execute(query.where(made.c.undone.is_(None), made.c.counts).order_by(made.c.seq))
        return [_shown(dict(row)) for row in found.mappings()]


def bring_in(settings: Settings, domain: str) -> None:
    """Bring in the rulings of files from before there was a database, each once and in their order.

    A file goes when its rulings are in: one that is cut off in between is found to be in, and goes the next time.
    """
    folder = corrections_folder(settings, domain) / RULINGS
    if not folder.is_dir():
        return
    check(corrections_folder(settings, domain))
    with datasets.exclusively(settings, f"{domain}.rulings", wait=datasets.LOCK_SECONDS):
        for path in sorted(folder.glob("[!.]*.parquet")):
            ruled = pl.read_parquet(path, glob=False).select("decision_id", "outcome", "who", "why")
            with trail.writing(settings, domain) as session:
                _rule(session, f"file:{path.stem}", ruled.rows())
            path.unlink(missing_ok=True)
        _go(folder)


def _rule(session: Writing, client: str, ruled: Sequence[tuple[str, str, str, str]]) -> None:
    """One ruling after another, of (decision, outcome, who, why), without cases; none that was made before."""
    from sqlalchemy import select

    made = tables().rulings
    first = select(made.c.seq).where(made.c.domain == session.domain, made.c.client == f"{client}/0")
    if session.connection.execute(first).first():
        return
    for number, (decision, outcome, who, why) in enumerate(ruled):
        details = {
            "decision_id": decision,
            "client": f"{client}/{number}",
            "reading": "first",
            "outcome": outcome,
            "labels": {},
            "why": why,
            "role": "operator",
            "source": "operator",
            "counts": True,
            "seconds": None,
        }
        rows.keep(session, ruling_of(session.append("", "ruled", who, details)))


@lru_cache(4)
def _of_day(settings: Settings, domain: str, day: str, mark: tuple[int, ...]) -> Mapping[str, str]:
    """What is held of the decisions of one day, whose ids begin with it: a day's parts are read one after another.

    Nothing of it has changed as long as the database's `mark` is the same.
    """
    from sqlalchemy import select

    made = tables().rulings
    of_day = made.c.decision_id.between(day, f"{day}\U0010ffff")
    query = select(made.c.decision_id, made.c.outcome).where(made.c.domain == domain, made.c.counts, of_day)
    with trail.reading(settings) as connection:
        found = connection.execute(query.where(made.c.undone.is_(None)).order_by(made.c.seq))
        return dict(found.tuples().all())


def _mark(settings: Settings) -> tuple[int, ...] | None:
    """Another one after something was written to a SQLite database; None where that cannot be told.

    Two writes within one tick of the file system's clock look like one, so what has just been written has no mark yet.
    """
    url = settings.reviews_url
    if not url.startswith("sqlite:///"):
        return None
    try:
        seen = Path(url.removeprefix("sqlite:///")).stat()
    except OSError:
        return None
    return (seen.st_ino, seen.st_mtime_ns, seen.st_size) if abs(time.time() - seen.st_mtime) > SETTLED else None


def _asked(settings: Settings, domain: str, decisions: Sequence[str], first: str, last: str) -> list[tuple[str, str]]:
    """Decision and outcome, oldest first, of decisions from `first` to `last`. It is asked often: it builds nothing."""
    between, among = _questions()
    told = {"domain": domain, "first": first, "last": last, "most": len(decisions) + 1}
    with trail.reading(settings) as connection:
        found = connection.execute(between, told).all()
        if len(found) > len(decisions):
            ids = json.dumps(list(decisions))
            found = connection.execute(among[connection.dialect.name], {"domain": domain, "ids": ids}).all()
        return [(row[0], row[1]) for row in found]


@cache
def _questions() -> tuple[Any, dict[str, Any]]:
    """What is ruled on the decisions between two, and on named ones, in the words of each database."""
    from sqlalchemy import text

    table = tables().rulings.name
    counting = f"select decision_id, outcome from {table} where domain = :domain and counts and undone is null"
    between = text(f"{counting} and decision_id between :first and :last order by seq limit :most")
    each = {"sqlite": "select value from json_each(:ids)"}
    each["postgresql"] = "select jsonb_array_elements_text(cast(:ids as jsonb))"
    among = {kind: text(f"{counting} and decision_id in ({ids}) order by seq") for kind, ids in each.items()}
    return between, among


def _go(folder: Path) -> None:
    """Remove the folder if it is empty: whoever looks next has nothing to look at."""
    try:
        folder.rmdir()
    except OSError:  # a draft of a process that was killed
        return


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    at = datetime.fromtimestamp(row.pop("at"), UTC)
    return row | {"ruled_at": at}
