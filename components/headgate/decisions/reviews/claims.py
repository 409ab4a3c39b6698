"""Who reads which case: a claim holds for a while, and goes to one alone."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from headgate.access.tokens import Caller
from headgate.contract.reviews import Case, Reading, Reviews
from headgate.decisions.reviews import rows, trail
from headgate.decisions.reviews.cases import POLICY, expire_due
from headgate.decisions.reviews.state import NOTHING, Ruled, State
from headgate.decisions.reviews.tables import tables
from headgate.decisions.reviews.trail import Writing
from headgate.domain import Domain
from headgate.errors import HeadgateError, UsageError
from headgate.registry.ledger import me
from headgate.settings import Settings

if TYPE_CHECKING:
    from sqlalchemy import Connection


class Conflict(HeadgateError):
    """Somebody, or time, was there before: nothing was changed, and the words say who and what."""


class Taken(Conflict):
    """Somebody else has claimed the case."""

    def __init__(self, words: str, who: str, until: datetime) -> None:
        """`who` has it `until`, unless they show a sign before."""
        super().__init__(words)
        self.who, self.until = who, until


class NotAllowed(HeadgateError):
    """No role of this person reads such a case."""


@dataclass(frozen=True)
class Reader:
    """Who claims and rules, and by which scopes; None where nobody needs a token: then all roles."""

    who: str
    scopes: Collection[str] | None = None

    def role(self, reviews: Reviews, reading: str, *, escalated: bool) -> str | None:
        """The scope by which they may read so; None where they may not."""
        for scope, role in reviews.roles.items():
            mine = self.scopes is None or scope in self.scopes
            if mine and reading in role.reads and (role.escalated or not (escalated and reading == "first")):
                return scope
        return None

    def reads(self, reviews: Reviews) -> tuple[list[Reading], bool]:
        """The readings that they may do, and whether also first ones whose deadline is over."""
        mine = [role for scope, role in reviews.roles.items() if self.scopes is None or scope in self.scopes]
        readings = sorted({reading for role in mine for reading in role.reads})
        return readings, any(role.escalated and "first" in role.reads for role in mine)


def reader_of(caller: Caller | None) -> Reader:
    """Who reads: a token's name and scopes; where none is needed, the user of this machine, in every role."""
    return Reader(me()) if caller is None else Reader(caller.name, caller.scopes)


def refuse_stranger(domain: Domain, reader: Reader) -> None:
    """Raise `NotAllowed` for who reads no cases of `domain` at all."""
    if not reader.reads(domain.ruled_on)[0]:
        scopes = " or ".join(f"`{scope}`" for scope in domain.ruled_on.roles)
        raise NotAllowed(f"The token {reader.who} reads no cases of {domain.name}: use one with the scope {scopes}.")


@dataclass(frozen=True)
class Claimed:
    """A case that is one's own until an instant, unless a sign is shown before: by its `token`."""

    case: Case
    token: int
    until: datetime
    reading: Reading
    earlier: tuple[Ruled, ...] = ()  # what a third reader decides between, and what an appeal is about
    appeal: str = ""  # why, in the words of who appeals


def claim(
    settings: Settings, domain: Domain, reader: Reader, key: str | None = None, skip: Collection[str] = ()
) -> Claimed | None:
    """Claim the case `key`, or the next one that is none of `skip`: one's own claims first. None where none waits.

    Raises `Taken` where somebody else has the case, `Conflict` where it waits for nobody any more, `NotAllowed` where
    no role of the reader reads it, and UsageError for a case that is none, or one too many.
    """
    with trail.writing(settings, domain.name) as session:
        expire_due(session, key)
        row = _next(session, domain.ruled_on, reader, skip) if key is None else _named(session, domain, reader, key)
        if isinstance(row, HeadgateError) or row is None:
            found: Claimed | HeadgateError | None = row
        else:
            found = _take(session, domain, reader, row)
    if isinstance(found, HeadgateError):  # after the transaction: what was over by time has ended
        raise found
    return found


def renew(settings: Settings, domain: Domain, reader: Reader, key: str, token: int) -> datetime:
    """Show a sign: the claim holds anew. Until when; raises `Conflict` where it was lost."""
    with trail.writing(settings, domain.name) as session:
        expire_due(session, key)
        row = rows.find(session.connection, domain.name, key)
        held = row is not None and row["token"] == token and row["holder"] == reader.who
        if row is not None and held:
            return _instant(hold(session, domain.ruled_on, reader.who, row))
        lost = why_not(session.connection, domain.name, reader, row, session.at)
    raise lost


def release(settings: Settings, domain: Domain, reader: Reader, key: str, token: int) -> None:
    """Give a claim back; one that was lost is nobody's business any more."""
    from sqlalchemy import update

    table = tables().cases
    mine = (table.c.domain == domain.name) & (table.c.key == key) & (table.c.token == token)
    with trail.writing(settings, domain.name) as session:
        freed = update(table).where(mine & (table.c.holder == reader.who))
        values = {"token": token + 1, "holder": None, "held_until": None, "claimed": None}
        session.touched |= session.connection.execute(freed.values(**values)).rowcount > 0


def hold(session: Writing, reviews: Reviews, who: str, row: Mapping[Any, Any], *, anew: bool = False) -> float:
    """Let the case of `row` be the claim of `who`, still or `anew`; until when.

    Anew it has another token: of two windows of one person, the one that claimed last has the case.
    """
    from sqlalchemy import update

    table = tables().cases
    mine = (table.c.domain == session.domain) & (table.c.key == row["key"])
    values: dict[str, Any] = {"holder": who, "held_until": session.at + reviews.lease_seconds}
    theirs = row["holder"] == who
    still = theirs and row["held_until"] > session.at
    if anew or not theirs:
        values |= {"token": row["token"] + 1} | ({} if still else {"claimed": session.at})
    session.touched |= anew or not still
    session.connection.execute(update(table).where(mine).values(**values))
    return float(values["held_until"])


def readable(reviews: Reviews, domain: str, reader: Reader, at: float) -> list[Any]:
    """Which cases `reader` may read now, whoever has claimed them: conditions on `cases`."""
    from sqlalchemy import exists

    cases, rulings = tables().cases, tables().rulings
    readings, escalated = reader.reads(reviews)
    theirs = (rulings.c.domain == cases.c.domain) & (rulings.c.key == cases.c.key) & (rulings.c.who == reader.who)
    conditions = [
        cases.c.domain == domain,
        cases.c.awaits.in_(readings),
        cases.c.available <= at,
        (cases.c.awaits == "first") | ~exists().where(theirs, rulings.c.undone.is_(None)),
    ]
    if not escalated:
        conditions.append((cases.c.awaits != "first") | ~cases.c.escalated)
    return conditions


def in_order() -> list[Any]:
    """The order in which cases are read: those that are late, then by priority, then by deadline."""
    table = tables().cases
    late = (table.c.escalated & (table.c.awaits == "first")).desc()
    return [late, table.c.priority.desc(), table.c.deadline.is_(None), table.c.deadline, table.c.opened_at, table.c.key]


def why_not(
    connection: "Connection", domain: str, reader: Reader, row: Mapping[Any, Any] | None, at: float
) -> HeadgateError:
    """Why a case is not the reader's, in words that give nothing away to who may have to read it blind."""
    if row is None:
        return UsageError("There is no such case: look at the queue again.")
    if row["holder"] not in (None, reader.who) and row["held_until"] > at:
        until = _instant(row["held_until"])
        words = f"{row['holder']} has this case until {_clock(until)}, unless they need longer."
        return Taken(words, row["holder"], until)
    if row["holder"] == reader.who and row["held_until"] > at:
        return Conflict("You have this case in another window: go on there, or claim it again here.")
    ruled = rows.rulings_of(connection, domain, row["key"])
    if row["awaits"] == NOTHING:
        counting = [one for one in ruled if one.counts]
        if not counting:
            return Conflict("Its time was over before anybody ruled: the decision stays as it was.")
        last = counting[-1]
        by = "nobody ruled in time: by its policy it is" if last.who == POLICY else f"{last.who} has ruled it"
        return Conflict(f"This case is decided: {by} {last.outcome}, at {_clock(_instant(last.at))}.")
    if any(one.who == reader.who for one in ruled):
        return Conflict("You have ruled on this case; others may read it after you.")
    if ruled:
        return Conflict("Somebody has ruled on this case meanwhile.")
    return Conflict("Your claim on this case has run out, and nobody has it now: claim it again.")


def _named(session: Writing, domain: Domain, reader: Reader, key: str) -> Mapping[Any, Any] | HeadgateError:
    """The row of a case that the reader may take, or why not."""
    from sqlalchemy import select

    reviews, table = domain.ruled_on, tables().cases
    mine = select(table).where(*readable(reviews, domain.name, reader, session.at), table.c.key == key)
    row = session.connection.execute(mine).mappings().first()
    if row is not None and (row["holder"] in (None, reader.who) or row["held_until"] <= session.at):
        return row if _room(session, reviews, reader, row) else _too_many(reviews)
    there = rows.find(session.connection, domain.name, key)
    waits = there is not None and there["awaits"] != NOTHING
    if there and waits and reader.role(reviews, there["awaits"], escalated=there["escalated"]) is None:
        return NotAllowed(f"Such a case is not read with the scopes of {reader.who}.")
    return why_not(session.connection, domain.name, reader, there, session.at)


def _next(
    session: Writing, reviews: Reviews, reader: Reader, skip: Collection[str]
) -> Mapping[Any, Any] | HeadgateError | None:
    """The row of the next case: one's own first. None where none waits."""
    from sqlalchemy import select

    table = tables().cases
    mine = (table.c.holder == reader.who) & (table.c.held_until > session.at)
    free = table.c.holder.is_(None) | (table.c.held_until <= session.at)
    query = select(table.c.key).where(*readable(reviews, session.domain, reader, session.at), mine | free)
    if skip:
        query = query.where(table.c.key.not_in(list(skip)))
    own_first = (table.c.holder == reader.who).is_(True).desc()
    key = session.connection.execute(query.order_by(own_first, *in_order()).limit(1)).scalar()
    row = None if key is None else rows.find(session.connection, session.domain, key)
    if row is None or _room(session, reviews, reader, row):
        return row
    return _too_many(reviews)


def _room(session: Writing, reviews: Reviews, reader: Reader, row: Mapping[Any, Any]) -> bool:
    """Whether the reader may hold this one too."""
    from sqlalchemy import func, select

    table = tables().cases
    mine = (table.c.domain == session.domain) & (table.c.holder == reader.who) & (table.c.held_until > session.at)
    others = select(func.count()).where(mine, table.c.key != row["key"])
    return int(session.connection.execute(others).scalar_one()) < reviews.at_once


def _too_many(reviews: Reviews) -> UsageError:
    return UsageError(f"You have claimed {reviews.at_once} cases already: rule on one, or give it back.")


def _take(session: Writing, domain: Domain, reader: Reader, row: Mapping[Any, Any]) -> Claimed:
    hold(session, domain.ruled_on, reader.who, row, anew=True)
    return claimed(session, row["key"])


def claimed(session: Writing, key: str) -> Claimed:
    """The case `key`, which somebody has just claimed."""
    row = rows.find(session.connection, session.domain, key)
    assert row is not None
    state: State = rows.state(row)
    open_eyes = state.awaits in ("third", "appeal")
    earlier = tuple(rows.rulings_of(session.connection, session.domain, key)) if open_eyes else ()
    appeal = _appeal(session, key) if state.awaits == "appeal" else ""
    reading: Any = state.awaits
    return Claimed(state.case(session.domain), row["token"], _instant(row["held_until"]), reading, earlier, appeal)


def _appeal(session: Writing, key: str) -> str:
    import json

    from sqlalchemy import select

    table = tables().events
    query = select(table.c.details).where(table.c.domain == session.domain, table.c.key == key)
    told = session.connection.execute(query.where(table.c.what == "appealed")).scalars().first()
    return str(json.loads(told)["why"]) if told else ""


def _instant(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _clock(at: datetime) -> str:
    return f"{at:%H:%M:%S} UTC"
