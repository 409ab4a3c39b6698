"""What a planner should know of a change before it counts: sentences that warn, and refuse nothing."""

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from headgate.domains.capacity.companions.calendar import Event, Mask, as_of, read_calendar, read_masks
from headgate.domains.capacity.companions.local_time import write
from headgate.domains.capacity.companions.text import ALL
from headgate.domains.capacity.data.raw import Series, read_series

#: Little is left to learn from where masks cover more than this share of a series' last four weeks.
MOST_MASKED = 0.3

_FOUR_WEEKS = timedelta(weeks=4)


def series_of(folder: Path) -> dict[str, Series]:
    """The source's series by id; none where it has no series.csv yet. Raises DataRefused as `read_series` does."""
    return read_series(folder) if (folder / "series.csv").exists() else {}


def advise(folder: Path, before: Event | Mask | None, after: Event | Mask, now: datetime) -> list[str]:
    """Sentences on the change from `before`, None if it is new, to `after`, whether or not it is written yet."""
    series = series_of(folder)
    end = min(now, _end_of_points(folder) or now)
    found = []
    if after.known_since > now:
        found.append(f"It counts from {write(after.known_since)} on, which is yet to come: nothing sees it before.")
    if after.status == after.STATUSES[0]:
        found += _strangers(after, series, folder)
    if isinstance(after, Event):
        found += _learned(before, after, series, end)
        found += _overlaps(after, as_of(read_calendar(folder), max(now, after.known_since)), series)
    else:
        found += _masked(after, as_of(read_masks(folder), max(now, after.known_since)), series, end)
    return found


def _strangers(row: Event | Mask, series: Mapping[str, Series], folder: Path) -> list[str]:
    """The region, or services of it, that no series has."""
    if not series:
        return [f"There is no series.csv in {folder}: region and services were not checked."]
    regions = {one.region for one in series.values()}
    if row.region not in (ALL, *regions):
        return [f"No series is in the region {row.region}; series.csv has {', '.join(sorted(regions))}."]
    services = {one.service for one in series.values() if row.region in (ALL, one.region)}
    if strange := [name for name in row.services if name not in (ALL, *services)]:
        where = "" if row.region == ALL else f" in {row.region}"
        return [f"No series{where} is of {', '.join(strange)}; series.csv has {', '.join(sorted(services))}."]
    return []


def _learned(before: Event | Mask | None, after: Event, series: Mapping[str, Series], end: datetime) -> list[str]:
    """Whether the data holds some of the event already, where it was or where it is."""
    for row, how in ((before, "as it was"), (after, "without it")):
        if row and min(row.span(zone)[0] for zone in _zones(row, series)) < end:
            return [
                f"{after.event} began on {row.start}, and versions may have learned from those days {how}: they answer "
                "by that until the next retraining."
            ]
    return []


def _overlaps(event: Event, others: Iterable[Event], series: Mapping[str, Series]) -> list[str]:
    """Other events of the same kind, at the same time, on some of the same series."""
    if event.status != "planned":
        return []
    found = []
    for other in others:
        if other.event == event.event or other.kind != event.kind:
            continue
        for zone in _zones(event, series) & _zones(other, series):
            (start, end), (begin, over) = event.span(zone), other.span(zone)
            if start < over and begin < end and _meet(event, other):
                found.append(
                    f"{other.event} is a {event.kind} at the same time, {other.start} to {other.end}: where both "
                    "apply they count as one, not twice."
                )
                break
    return found


def _masked(mask: Mask, others: Iterable[Mask], series: Mapping[str, Series], end: datetime) -> list[str]:
    """Series of which masks, with this one, cover much of the four weeks before `end`."""
    if mask.status != "active" or mask.effect == "keep":
        return []
    masks = [mask, *(other for other in others if other.effect != "keep")]
    shares = {}
    for one in series.values():
        if mask.applies(one.region, one.service) and _share([mask], one, end):
            shares[one.series] = _share(masks, one, end)
    much = {name: share for name, share in shares.items() if share > MOST_MASKED}
    if not much:
        return []
    worst = max(much, key=lambda name: much[name])
    more = f" and more than {MOST_MASKED:.0%} of {len(much) - 1} other series" if len(much) > 1 else ""
    return [f"Masks now cover {much[worst]:.0%} of the last four weeks of {worst}{more}: little is left to learn from."]


def _share(masks: Iterable[Mask], one: Series, end: datetime) -> float:
    """The share of the four weeks before `end` that `masks` cover, of one series."""
    covered, reached = timedelta(), end - _FOUR_WEEKS
    for start, over in sorted(mask.span(one.zone) for mask in masks if mask.applies(one.region, one.service)):
        start, over = max(start, reached), min(over, end)
        if over > start:
            covered, reached = covered + (over - start), over
    return covered / _FOUR_WEEKS


def _zones(row: Event | Mask, series: Mapping[str, Series]) -> set[str]:
    """The zones of the series that a row applies to; UTC where there is none yet."""
    return {one.zone for one in series.values() if row.applies(one.region, one.service)} or {"UTC"}


def _meet(one: Event, other: Event) -> bool:
    """Whether both can apply to a series, be it there yet or not."""
    if ALL not in (one.region, other.region) and one.region != other.region:
        return False
    return ALL in (*one.services, *other.services) or bool(set(one.services) & set(other.services))


def _end_of_points(folder: Path) -> datetime | None:
    """The end of the last day that there are points of."""
    days = []
    for path in (folder / "points").glob("*.parquet"):
        try:
            days.append(date.fromisoformat(path.stem))
        except ValueError:  # refused when points are read, not here
            continue
    return datetime.combine(max(days), datetime.min.time(), UTC) + timedelta(days=1) if days else None
