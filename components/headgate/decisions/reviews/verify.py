"""Hold the reviews of a domain against their trail: every event as it was, and every row what the events add up to."""

from collections.abc import Iterable

from headgate.decisions.reviews import rows, trail
from headgate.decisions.reviews.state import add_up
from headgate.decisions.reviews.tables import tables
from headgate.errors import HeadgateError
from headgate.registry.chain import first_broken
from headgate.settings import Settings


def verify(settings: Settings, domain: str, anchors: Iterable[str] = ()) -> int:
    """How many events the trail of `domain` has.

    Raises HeadgateError that names the first event, case or ruling which is not what it was. A tail that was cut off
    shows by the cases and rulings that it left behind, and by `anchors` (`Event.anchor`) that were kept elsewhere.
    """
    from sqlalchemy import select

    cases, rulings = tables().cases, tables().rulings
    with trail.writing(settings, domain) as session:  # nobody writes between these three
        events = trail.read(session.connection, domain)
        of_cases = session.connection.execute(select(cases).where(cases.c.domain == domain)).mappings().all()
        of_rulings = session.connection.execute(select(rulings).where(rulings.c.domain == domain)).mappings().all()
    if broken := first_broken(events):
        raise trail.altered(domain, broken)
    seen = {event.anchor for event in events}
    for anchor in anchors:
        if anchor not in seen:
            raise _cut(domain, f"event {anchor.partition(':')[0]} was seen elsewhere and is not in them")
    states, made = add_up(events)
    found = {row["key"]: rows.state(row) for row in of_cases}
    ruled = {row["seq"]: rows.ruled(row) for row in of_rulings}
    for what, are, were in (("case", found, states), ("ruling", ruled, made)):
        for name in sorted({*are, *were}, key=str):
            if are.get(name) != were.get(name):
                raise _cut(domain, f"{what} {name} is not what its events add up to")
    return len(events)


def _cut(domain: str, words: str) -> HeadgateError:
    return HeadgateError(
        f"The reviews of {domain} are not what they were: {words}. Restore them from a backup (`headgate restore`), "
        "and ask who could write to their database."
    )
