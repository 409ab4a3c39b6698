"""What a page is asked for: a series, a span of time on the clock that the series lives by, and a step."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import cast
from zoneinfo import ZoneInfo

from headgate.contract.host import Host
from headgate.contract.row import Role
from headgate.contract.slots import Loaded
from headgate.domains.capacity.companions import local_time
from headgate.domains.capacity.companions.calendar import Event
from headgate.domains.capacity.companions.followed import CALENDAR
from headgate.domains.capacity.data.notation import STEPS
from headgate.domains.capacity.data.raw import Series
from headgate.domains.capacity.model.clock import DAY
from headgate.domains.capacity.model.forecaster import ALL, Forecaster
from headgate.domains.capacity.serving.calendar import calendar_in_force
from headgate.domains.capacity.serving.recording import DOMAIN
from headgate.errors import UsageError

#: Most steps that a chart shows.
MOST = 6000


@dataclass(frozen=True)
class View:
    """What a page shows. `start` and `end` are instants; texts of times are on the clock of `zone`."""

    series: str
    one: Series  # the series, or the first part of a total
    step: str
    start: datetime
    end: datetime

    @property
    def zone(self) -> str:
        """The clock that the page shows, an IANA name."""
        return self.one.zone

    @property
    def seconds(self) -> int:
        """The length of a step."""
        return STEPS[self.step]

    def text(self, when: datetime | float) -> str:
        """An instant, or epoch seconds, as the clock shows it, to the minute: 2026-11-27T18:00."""
        instant = when if isinstance(when, datetime) else datetime.fromtimestamp(when, UTC)
        return f"{instant.astimezone(ZoneInfo(self.zone)):%Y-%m-%dT%H:%M}"

    def fields(self) -> dict[str, str]:
        """The view as fields of a form."""
        return {"series": self.series, "from": self.text(self.start), "to": self.text(self.end), "step": self.step}


def deciding(host: Host, series: str) -> tuple[Loaded, Role]:
    """The version that answers for `series`, and in which role. Raises UsageError where none is loaded."""
    champion, canary = host.slots.champion(DOMAIN), host.slots.canary(DOMAIN)
    if champion is None:
        raise UsageError("No version is loaded yet: the page State says why. Look again in a moment.")
    return (canary.loaded, "canary") if canary and canary.takes(series) else (champion, "champion")


def forecaster_of(loaded: Loaded) -> Forecaster:
    """What forecasts in a loaded version."""
    return cast(Forecaster, loaded.predictor)


def calendar(host: Host, forecaster: Forecaster) -> Sequence[Event]:
    """The calendar in force, looked at anew: who has just saved an event sees it.

    Raises HeadgateError where it cannot be read, also while an older one is in force: planners mend it.
    """
    host.companions.refresh(DOMAIN)
    if problem := host.companions.problem(DOMAIN, CALENDAR):
        raise UsageError(problem)
    return calendar_in_force(host, forecaster).events


def names(forecaster: Forecaster) -> list[tuple[str, list[str]]]:
    """The series to choose from, by region; a region with several counts of a metric has their total too."""
    regions: dict[str, list[str]] = {}
    counts: dict[tuple[str, str], int] = {}
    for one in forecaster.series:
        regions.setdefault(one.region, []).append(one.series)
        if one.aggregation == "sum":
            counts[one.region, one.metric] = counts.get((one.region, one.metric), 0) + 1
    for (region, metric), number in counts.items():
        if number > 1:
            regions[region].insert(0, f"{region}/{ALL}/{metric}")
    return list(regions.items())


def view(forecaster: Forecaster, asked: Mapping[str, str], *, days: int = 14, step: str = "1h") -> View:
    """What the fields `asked` mean: series, from, to and step, each with a default. Raises UsageError."""
    series = asked.get("series") or _first(forecaster)
    model, columns = forecaster.parts(series)[0]
    one = model.series[columns[0]]
    own = one.step
    wanted = asked.get("step") or (step if STEPS[step] % own == 0 else next(iter(steps(own)), "1w"))
    if wanted not in steps(own):
        known = ", ".join(steps(own))
        raise UsageError(f"{series} comes in steps of {own:,} s, and {wanted!r} does not fit: choose one of {known}.")
    now, until = datetime.now(UTC), datetime.fromtimestamp((model.until - 1) * DAY, UTC)
    since = max(now, forecaster.as_of)
    if since + timedelta(days=days) > until:  # a version of long ago: what it was made for
        since = forecaster.as_of
    midnight = datetime.combine(since.astimezone(ZoneInfo(one.zone)).date(), time.min)
    begins = _parse(asked.get("from") or local_time.write(midnight), "From")
    length = timedelta(days=days) if own < DAY else timedelta(weeks=52)
    over = _parse(asked["to"], "To") if asked.get("to") else begins + length
    start, end = (local_time.resolve(instant, one.zone) for instant in (begins, over))
    count = (end - start).total_seconds() / STEPS[wanted]
    if count < 1:
        raise UsageError("The window ends before its first step is over: let To lie later, or choose a smaller step.")
    if count > MOST:
        raise UsageError(
            f"The window has {count:,.0f} steps of {wanted}, and a chart shows {MOST:,}: choose a larger step, or let "
            "To lie earlier."
        )
    return View(series, one, wanted, start, end)


def steps(own: int) -> list[str]:
    """The steps that a series with steps of `own` seconds can be shown in."""
    return [name for name, seconds in STEPS.items() if seconds % own == 0]


def events(view: View, known: Sequence[Event]) -> list[Event]:
    """The events that apply to what is shown and touch its window, in order of time. A break of the slope lasts no
    time, so it is not among them."""
    found = []
    for event in known:
        start, end = event.span(view.zone)
        meant = event.applies(view.one.region, view.one.service) or _total(view, event)
        if meant and start < view.end and end > max(view.start, start):
            found.append(event)
    return sorted(found, key=lambda event: event.span(view.zone)[0])


def texts(event: Event, view: View, start: str, end: str) -> tuple[str, str]:
    """Start and end as the calendar writes them of an event that, on the clock of `view`, lasts from `start` to `end`.

    Local times stay local and instants instants; what was not changed stays as it is written. Raises UsageError.
    """
    return _text(event, event.start, 0, view, start), _text(event, event.end, 1, view, end)


def _text(event: Event, written: str, place: int, view: View, asked: str) -> str:
    if not asked or asked == view.text(event.span(view.zone)[place]):
        return written
    try:
        found = local_time.parse(asked)
    except ValueError as error:
        raise UsageError(f"The event's {('start', 'end')[place]} does not fit: {error}.") from None
    if event.is_local and found.tzinfo is None:
        return local_time.write(found)
    if event.is_local:
        return local_time.write(found.astimezone(ZoneInfo(view.zone)).replace(tzinfo=None))
    return local_time.write(local_time.resolve(found, view.zone))


def _parse(text: str, field: str) -> datetime:
    try:
        return local_time.parse(text)
    except ValueError as error:
        raise UsageError(f"{field} does not fit: {error}.") from None


def _first(forecaster: Forecaster) -> str:
    """The series that a page opens with: a fine one rather than a weekly one, and the first by name."""
    return min(forecaster.series, key=lambda one: (one.step, one.series)).series


def _total(view: View, event: Event) -> bool:
    """Whether `view` is of a total and `event` applies to some of its parts."""
    region, service, _ = view.series.split("/")
    return (
        ALL in (region, service)
        and (region in (ALL, event.region) or event.region == ALL)
        and (service == ALL or event.applies(event.region, service))
    )
