"""Public holidays as ordinary events, pinned: what is in the calendar once stays as people leave it.

Tables of moving holidays disagree, and change from one version of a library to the next. So a year's holidays are
written once, as rows that anyone may move or cancel, and adding them again adds only those that were never there.
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path

from headgate.domains.capacity.companions.calendar import Event
from headgate.domains.capacity.companions.edit import Changes, Signature, revise
from headgate.domains.capacity.companions.text import ALL
from headgate.errors import UsageError

KIND = "holiday"

_ESTIMATED = re.compile(r" \(estimated\)|, estimated(?=\))")  # a mark of the table, not of the holiday


@dataclass(frozen=True)
class Holiday:
    """A holiday of a country's table: consecutive days of one name."""

    name: str
    start: date
    end: date  # exclusive


@dataclass(frozen=True)
class Added:
    """What adding a year's holidays did."""

    added: tuple[Event, ...]
    kept: tuple[Event, ...]  # were there, in whatever state, and stay as they are
    differing: tuple[str, ...]  # sentences on those that the table has on other days


def add_holidays(
    folder: Path,
    country: str,
    year: int,
    by: Signature,
    *,
    region: str = ALL,
    services: Sequence[str] = (ALL,),
) -> Added:
    """Add the public holidays of a country (ISO 3166: `IN`, or a part of it, `DE-BY`) that were never in the calendar.

    Raises UsageError for a country or year that the table does not know.
    """
    country = country.upper()
    table, edition = _table(country, year)
    kept: list[Event] = []
    differing: list[str] = []

    def plan(last: Mapping[str, Event]) -> dict[str, Changes]:
        new: dict[str, Changes] = {}
        for name, holiday in _by_id(table, country, region, year).items():
            start, end = holiday.start.isoformat(), holiday.end.isoformat()
            if row := last.get(name):
                kept.append(row)
                if (row.start, row.end) != (start, end):
                    differing.append(f"{name} stays on {row.start}, as {row.author} has it; {edition} says {start}.")
                continue
            where = {"event": name, "region": region, "services": "|".join(services)}
            what = {"kind": KIND, "name": holiday.name, "start": start, "end": end, "intensity": "1"}
            new[name] = where | what | {"status": "planned"}
        return new

    signed = replace(by, reason=by.reason or f"public holidays of {country} {year} by {edition}")
    pairs = revise(folder, Event, signed, plan)
    return Added(tuple(after for _, after in pairs), tuple(kept), tuple(differing))


def _table(country: str, year: int) -> tuple[list[Holiday], str]:
    """A country's holidays of a year, with English names where there are, and the edition of the table."""
    from importlib.metadata import version

    import holidays

    nation, _, part = country.partition("-")
    known = holidays.list_supported_countries()
    if nation not in known:
        raise UsageError(
            f"There is no table of holidays for {nation!r}: give a country by its code, such as IN or DE-BY."
        )
    if part and part not in known[nation]:
        raise UsageError(
            f"{nation} has no part {part!r} with holidays of its own: {', '.join(known[nation]) or 'none'}."
        )
    days = holidays.country_holidays(nation, subdiv=part or None, years=year, language="en_US")
    found = sorted((name, day) for day in days for name in days.get_list(day))
    if not found:
        raise UsageError(f"The table of holidays holds none for {country} in {year}: check the year.")
    table: list[Holiday] = []
    for name, day in found:
        if table and (table[-1].name, table[-1].end) == (name, day):
            table[-1] = replace(table[-1], end=day + timedelta(days=1))
        else:
            table.append(Holiday(name, day, day + timedelta(days=1)))
    return sorted(table, key=lambda holiday: (holiday.start, holiday.name)), f"holidays {version('holidays')}"


def _by_id(table: Sequence[Holiday], country: str, region: str, year: int) -> dict[str, Holiday]:
    """Holidays by an id that stays the same when the table changes the day; a second one of a name is numbered."""
    found: dict[str, Holiday] = {}
    for holiday in table:
        place = country if region in (ALL, country.lower()) else f"{country} {region}"
        stem = _slug(f"{place} {_ESTIMATED.sub('', holiday.name)} {year}")
        names = (stem, *(f"{stem}-{number}" for number in range(2, len(table) + 2)))
        found[next(name for name in names if name not in found)] = holiday
    return found


def _slug(text: str) -> str:
    """Lower-case words joined by hyphens, accents and apostrophes left out; letters of other scripts stay."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c) and c not in "'’")
    return "-".join(re.findall(r"\w+", plain.lower()))
