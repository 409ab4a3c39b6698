"""Forecasts as the console's charts draw them: lists of numbers, and times as the clock of the series shows them."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from headgate.domains.capacity.companions.calendar import Event
from headgate.domains.capacity.model.forecaster import Forecast
from headgate.domains.capacity.pages.query import View

#: Bands that are drawn: their ends, how dark, and what they are called.
BANDS = ((0.05, 0.95, 0.12, "90 %"), (0.1, 0.9, 0.2, "80 %"))

LEVELS = (0.05, 0.1, 0.5, 0.9, 0.95)


def figure(
    view: View,
    times: NDArray[np.int64],
    lines: Sequence[Mapping[str, Any]],
    bands: Sequence[tuple[Any, Any, float, str]] = (),
    ranges: Sequence[Event] = (),
    marks: Sequence[float] = (),
) -> str:
    """A chart at `times` [n], epoch seconds: lines and bands with values [n], events as ranges, marks as lines.

    As JSON that `charts.js` reads: written here, in the thread that computed it, since it may be long.
    """
    drawn = {
        "times": [view.text(int(time)) for time in times],
        "from": view.text(view.start),
        "to": view.text(view.end),
        "step": view.seconds,
        "lines": [{**line, "values": numbers(line["values"])} for line in lines],
        "bands": [[numbers(low), numbers(high), share, name] for low, high, share, name in bands],
        "ranges": [span(view, event) for event in ranges],
        "marks": [view.text(mark) for mark in marks],
    }
    return encode(drawn)


def encode(drawn: Mapping[str, Any]) -> str:
    """A chart as JSON."""
    return msgspec.json.encode(drawn).decode()


def span(view: View, event: Event) -> dict[str, Any]:
    """An event as a range on a chart."""
    start, end = (view.text(instant) for instant in event.span(view.zone))
    return {"event": event.event, "name": event.name or event.event, "kind": event.kind, "start": start, "end": end}


def bands(said: Forecast) -> list[tuple[Any, Any, float, str]]:
    """The bands of a forecast; none of one without."""
    known = said.quantiles
    return [(known[low], known[high], share, name) for low, high, share, name in BANDS if {low, high} <= set(known)]


def numbers(values: Any) -> list[float | None]:
    """Values for JSON, with four digits that count; null where there is none."""
    return [float(f"{value:.4g}") if np.isfinite(value) else None for value in values]
