"""The forecast of a series, what made it so, and what it would be if an event were another; and the event saved."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from headgate.contract.host import Host
from headgate.domains.capacity.companions.calendar import Event
from headgate.domains.capacity.companions.edit import Signature, change
from headgate.domains.capacity.companions.followed import shared_folder
from headgate.domains.capacity.data.notation import STEPS
from headgate.domains.capacity.model.forecaster import Forecast, Forecaster
from headgate.domains.capacity.pages import query
from headgate.domains.capacity.pages.figures import LEVELS, bands, figure
from headgate.domains.capacity.pages.query import View
from headgate.domains.capacity.serving.advice import advise
from headgate.domains.capacity.serving.explain import Explanation, explain_forecast, moved
from headgate.errors import DataRefused, HeadgateError, UsageError

#: What is saved from a page at most: letters of a reason, length of an event, how far it is moved, and its intensity.
LONGEST_REASON, LONGEST_EVENT, FURTHEST, MOST_INTENSE = 500, timedelta(days=366), timedelta(days=3 * 366), 100.0

#: The largest step that capacity is ordered by: it is not exceeded with this probability.
SURE = 0.95


@dataclass(frozen=True)
class Compared:
    """A figure as planned and as supposed; `after` is None where nothing is supposed."""

    name: str
    before: float
    after: float | None

    @property
    def change(self) -> str:
        """By how much, in percent."""
        if self.after is None or not self.before:
            return ""
        return f"{self.after / self.before - 1:+.1%}".replace("%", " %")


def look(host: Host, asked: Mapping[str, str]) -> dict[str, Any]:
    """What the page shows for the fields `asked`. Raises HeadgateError for what cannot be shown."""
    loaded, role = query.deciding(host, asked.get("series", ""))
    forecaster = query.forecaster_of(loaded)
    known = query.calendar(host, forecaster)
    view = query.view(forecaster, asked)
    events = query.events(view, known)
    supposed, event = _supposed(view, known, asked)
    before = _forecast(forecaster, view, known)
    after = _forecast(forecaster, view, supposed) if supposed else None
    shown = after or before
    lines = [{"name": "as planned", "values": before.quantiles[0.5], "colour": "accent"}]
    if after:
        lines[0]["dash"] = "dot"
        lines.append({"name": "supposed", "values": after.quantiles[0.5], "colour": "after"})
    explanation, why_not = _explained(forecaster, view, supposed or known)
    return {
        "view": view,
        "loaded": loaded,
        "role": role,
        "names": query.names(forecaster),
        "steps": query.steps(view.one.step),
        "events": events,
        "event": event,
        "start": asked.get("start", "") if event else "",
        "end": asked.get("end", "") if event else "",
        "intensity": asked.get("intensity", "") if event else "",
        "calendar": forecaster.companion(supposed or known),
        "saved_in": shared_folder(host.settings),
        "figure": figure(view, shown.times, lines, bands(shown), events),
        "certified": shown.certified,
        "banded": bool(bands(shown)),
        "compared": _compared(forecaster, view, before, after, known, supposed),
        "explanation": explanation,
        "why_not": why_not,
        "words": "" if event is None or supposed is None else _words(view, event, supposed),
    }


def save(host: Host, asked: Mapping[str, str], author: str) -> tuple[Event, list[str], dict[str, Any]]:
    """Write the change that `asked` supposes to the calendar; the new revision, what to know of it, and the page then.

    Raises HeadgateError where it cannot be saved; nothing is written then.
    """
    folder = shared_folder(host.settings)
    if folder is None:
        raise UsageError(
            "There is no calendar to save to: set HEADGATE_CALENDAR to the folder of calendar.csv, and start again."
        )
    reason = " ".join(asked.get("reason", "").split())
    if not reason or not reason.isprintable() or len(reason) > LONGEST_REASON:
        raise UsageError(
            f"Say why, in at most {LONGEST_REASON} letters of one line: the reason stands in the calendar's history."
        )
    forecaster = query.forecaster_of(query.deciding(host, asked.get("series", ""))[0])
    known, view = query.calendar(host, forecaster), query.view(forecaster, asked)
    supposed, event = _supposed(view, known, asked)
    if event is None or supposed is None:
        raise UsageError("Nothing is changed yet: drag an event, or give it another start, end or intensity.")
    _refuse_strange(next(one for one in supposed if one.event == event.event), view, forecaster.as_of)
    name, _, seen = asked.get("seen", "").rpartition("@")
    if name != event.event or not seen.isdigit():
        raise UsageError(f"You have not seen the forecast with this change of {event.event} yet: look, then save.")
    wanted = next(one for one in supposed if one.event == event.event)
    before, after = change(
        folder,
        event.event,
        Signature(author, reason),
        start=wanted.start,
        end=wanted.end,
        intensity=wanted.intensity,
        seen=int(seen),
    )
    try:
        notes = advise(folder, before, after, datetime.now(UTC))
    except DataRefused as error:  # series.csv is not right, and the change is made all the same
        notes = [str(error)]
    return after, notes, look(host, {name: asked[name] for name in ("series", "from", "to", "step") if name in asked})


def _refuse_strange(event: Event, view: View, as_of: datetime) -> None:
    """Raise UsageError for what nobody can mean. The command line takes it all the same, for those who do."""
    start, end = event.span(view.zone)
    if end - start > LONGEST_EVENT:
        raise UsageError(f"{event.event} would last {(end - start).days:,} days: correct its end.")
    if abs(start - as_of) > FURTHEST:
        raise UsageError(f"{event.event} would begin in {start.year}: correct its start.")
    if event.intensity > MOST_INTENSE:
        raise UsageError(
            f"The intensity {event.intensity:g} is beyond {MOST_INTENSE:g}: 1 is a usual one, and a forecast counts at "
            "most 1.5 times the highest that was seen."
        )


def _supposed(
    view: View, known: Sequence[Event], asked: Mapping[str, str]
) -> tuple[tuple[Event, ...] | None, Event | None]:
    """The calendar that `asked` supposes, None where it is as planned; and the event that it names."""
    name = asked.get("event", "")
    if not name:
        return None, None
    event = next((one for one in known if one.event == name), None)
    if event is None:
        raise UsageError(f"The calendar plans no event {name!r} any more: load the page again.")
    start, end = query.texts(event, view, asked.get("start", ""), asked.get("end", ""))
    intensity = _intensity(asked.get("intensity", ""), event)
    if (start, end, intensity) == (event.start, event.end, event.intensity):
        return None, event
    return moved(known, name, start=start, end=end, intensity=intensity), event


def _intensity(text: str, event: Event) -> float:
    try:
        return float(text) if text.strip() else event.intensity
    except ValueError:
        raise UsageError(f"The intensity {text!r} is no number: write 1.5, or leave it empty.") from None


def _forecast(forecaster: Forecaster, view: View, calendar: Sequence[Event]) -> Forecast:
    for levels in (LEVELS, (0.5,)):
        try:
            return forecaster.forecast(
                view.series, view.start, view.end, step=view.seconds, levels=levels, calendar=calendar
            )
        except DataRefused:  # a young series has no band
            continue
    raise UsageError(f"{view.series} has no forecast here.")


def _compared(
    forecaster: Forecaster,
    view: View,
    before: Forecast,
    after: Forecast | None,
    known: Sequence[Event],
    supposed: Sequence[Event] | None,
) -> list[Compared]:
    """The figures that a planner looks for, as planned and as supposed."""
    gauge = view.one.aggregation == "mean"
    values = [None if said is None else said.quantiles[0.5] for said in (before, after)]
    whole = [None if v is None else float(v.mean() if gauge else v.sum()) for v in values]
    highest = [None if v is None else float(v.max()) for v in values]
    pairs = [("Mean" if gauge else "In all", whole), (f"Highest {view.step}, median", highest)]
    try:
        sure = [
            None
            if calendar is None
            else forecaster.peak(view.series, view.start, view.end, levels=(SURE,), calendar=calendar)[SURE]
            for calendar in (known, supposed)
        ]
        pairs.append((f"Largest {_length(view.one.step)}, with {SURE:.0%}".replace("%", " %"), sure))
    except HeadgateError:  # no peak is certified: none is shown
        pass
    return [Compared(name, two[0], two[1]) for name, two in pairs if two[0] is not None]


def _length(seconds: int) -> str:
    return next((name for name, length in STEPS.items() if length == seconds), f"{seconds:,} s")


def _explained(forecaster: Forecaster, view: View, calendar: Sequence[Event]) -> tuple[Explanation | None, str]:
    try:
        return explain_forecast(forecaster, view.series, view.start, view.end, calendar), ""
    except UsageError as error:
        return None, str(error)


def _words(view: View, event: Event, supposed: Sequence[Event]) -> str:
    other = next(one for one in supposed if one.event == event.event)
    start, end = (f"{datetime.fromisoformat(view.text(instant)):%a %d %b %H:%M}" for instant in other.span(view.zone))
    more = "" if other.intensity == event.intensity else f", with intensity {other.intensity:g}"
    return f"If {event.name or event.event} were {start} to {end}{more}"
