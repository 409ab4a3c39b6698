"""`GET /v1/capacity/…`: the forecast of a series, why it is so, what if the calendar were another, and how it goes."""

import csv
import io
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, cast

import msgspec
import numpy as np
from msgspec import Meta
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from headgate.api.endpoints import Endpoint, Operation, json, query, read
from headgate.api.problems import Problem, not_ready
from headgate.contract.host import Host
from headgate.contract.row import Recorder, Role
from headgate.domains.capacity.data import notation
from headgate.domains.capacity.model.forecaster import Forecaster
from headgate.domains.capacity.model.series_model import grid
from headgate.domains.capacity.serving.calendar import calendar_in_force
from headgate.domains.capacity.serving.explain import explain_forecast, moved, what_if
from headgate.domains.capacity.serving.recording import DOMAIN, Deciding, Told, record_actuals, record_forecast
from headgate.domains.capacity.serving.track import track_event
from headgate.errors import HeadgateError

#: Most steps in one answer: a year of hours, or a week of minutes, with room to spare.
MAX_STEPS = 50_000

Step = Literal["1min", "5min", "15min", "1h", "1d", "1w"]

SeriesName = Annotated[
    str, Meta(min_length=1, max_length=200, description='REGION/SERVICE/METRIC; "*" stands for all of a level.')
]
Time = Annotated[str, Meta(max_length=40, description="RFC 3339, or a date; without an offset it is UTC.")]


class Window(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, rename={"start": "from"}):
    """A series and a span of time."""

    series: SeriesName
    start: Time
    to: Time
    step: Annotated[Step, Meta(description="Larger steps add counts up and average gauges.")] = "1h"


class Explained(Window, frozen=True, kw_only=True):
    """What `/explain` takes: a minute by default, or any longer span, whose sum is explained."""

    step: Annotated[Step, Meta(description="How finely the span is counted.")] = "1min"


class Asked(Window, frozen=True, kw_only=True):
    """What `/forecast` takes."""

    quantiles: Annotated[str, Meta(max_length=100, description="Which, with commas.")] = "0.05,0.1,0.5,0.9,0.95"
    peak: Annotated[bool, Meta(description="Also the quantiles of the window's largest step.")] = False
    format: Literal["json", "csv"] = "json"


class Supposed(Window, frozen=True, kw_only=True):
    """What `/whatif` takes."""

    event: Annotated[str, Meta(max_length=200, description="An event of the calendar.")]
    event_start: Time | None = None
    event_end: Time | None = None
    intensity: Annotated[float, Meta(gt=0)] | None = None


class Came(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"start": "from"}):
    """What `/track` takes: a window, and what came so far, in its steps from the start on; null where unknown."""

    series: SeriesName
    start: Time
    to: Time
    values: Annotated[list[Annotated[float, Meta(ge=0)] | None], Meta(max_length=MAX_STEPS)]
    step: Step = "1min"


class Answer(msgspec.Struct, frozen=True):
    """A forecast: one value a step for each quantile."""

    series: str
    version: int
    calendar: Annotated[str, Meta(description="The id of the calendar in force, which was used.")]
    step_seconds: int
    certified: Annotated[bool, Meta(description="Whether origins were tried as far ahead as this.")]
    time_utc: list[str]
    quantiles: dict[str, list[float]]
    peak: dict[str, float] | None = None


class Parts(msgspec.Struct, frozen=True):
    """An explanation: factors whose product is the forecast."""

    series: str
    version: int
    calendar: str
    forecast: float
    factors: dict[str, float]
    events: list[str]
    words: str


class Change(msgspec.Struct, frozen=True):
    """A forecast before and after."""

    series: str
    version: int
    calendar: Annotated[str, Meta(description="The id of the supposed calendar.")]
    step_seconds: int
    time_utc: list[str]
    before: list[float]
    after: list[float]


class Followed(msgspec.Struct, frozen=True):
    """What came and what is expected of the rest."""

    series: str
    version: int
    calendar: str
    ratio: Annotated[float, Meta(description="Actual over forecast, lately.")]
    seen: int
    outside: Annotated[int, Meta(description="Steps that left their band.")]
    time_utc: list[str]
    forecast: list[float]
    expected: Annotated[list[float], Meta(description="The forecast, re-scaled after what came.")]
    low: list[float]
    high: list[float]


def routes(host: Host) -> list[Any]:
    """The endpoints; they answer with the champion, or for its share of the series with the canary."""
    recorder, told = host.recorder, Told()

    async def forecasts(request: Request) -> Response:
        asked = query(request, Asked)
        return await run_in_threadpool(_forecast, asked, _deciding(host, asked.series), recorder)

    async def explanation(request: Request) -> Response:
        asked = query(request, Explained)
        return await run_in_threadpool(_explain, asked, _deciding(host, asked.series))

    async def supposed(request: Request) -> Response:
        asked = query(request, Supposed)
        return await run_in_threadpool(_what_if, asked, _deciding(host, asked.series))

    decoder = msgspec.json.Decoder(Came)

    async def tracked(request: Request) -> Response:
        came = await read(request, decoder)
        return await run_in_threadpool(_track, came, _deciding(host, came.series), recorder, told)

    return [
        Endpoint("GET", "/v1/capacity/forecast", forecasts, _FORECAST),
        Endpoint("GET", "/v1/capacity/explain", explanation, _EXPLAIN),
        Endpoint("GET", "/v1/capacity/whatif", supposed, _WHATIF),
        Endpoint("POST", "/v1/capacity/track", tracked, _TRACK),
    ]


def _deciding(host: Host, series: str) -> Deciding:
    """What answers for `series`: read once, so that a swap in between does not split an answer."""
    champion, canary = host.slots.champion(DOMAIN), host.slots.canary(DOMAIN)
    if champion is None:
        raise not_ready("No version is loaded yet: /readyz says why. Ask again later.")
    role: Role = "canary" if canary and canary.takes(series) else "champion"
    loaded = canary.loaded if canary and role == "canary" else champion
    try:
        return Deciding(loaded, role, calendar_in_force(host, cast(Forecaster, loaded.predictor)))
    except HeadgateError as error:
        raise not_ready(str(error)) from None


def _forecast(asked: Asked, by: Deciding, recorder: Recorder) -> Response:
    forecaster, events = by.forecaster, by.calendar.events
    start, end = _window(asked.start, asked.to, asked.step)
    levels = _levels(asked.quantiles)
    with _refusals():
        said = forecaster.forecast(
            asked.series, start, end, step=notation.STEPS[asked.step], levels=levels, calendar=events
        )
        peak = forecaster.peak(asked.series, start, end, calendar=events) if asked.peak else None
    record_forecast(recorder, by, asked.series, start, end, notation.STEPS[asked.step])
    times = _times(said.times)
    if asked.format == "csv":
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow(["time_utc", *(f"{level:g}" for level in levels)])
        writer.writerows(zip(times, *(_round(said.quantiles[level]) for level in levels), strict=True))
        return Response(text.getvalue(), media_type="text/csv")
    return json(
        Answer(
            asked.series,
            by.loaded.version,
            by.calendar.id,
            said.step,
            said.certified,
            times,
            {f"{level:g}": _round(said.quantiles[level]) for level in levels},
            {f"{level:g}": round(value, 3) for level, value in peak.items()} if peak else None,
        )
    )


def _explain(asked: Explained, by: Deciding) -> Response:
    start, end = _window(asked.start, asked.to, asked.step)
    with _refusals():
        found = explain_forecast(by.forecaster, asked.series, start, end, by.calendar.events)
    factors = {factor.name: factor.value for factor in found.factors}
    version = by.loaded.version
    return json(
        Parts(found.series, version, found.calendar, found.forecast, factors, list(found.events), found.words())
    )


def _what_if(asked: Supposed, by: Deciding) -> Response:
    planned = by.calendar.events
    start, end = _window(asked.start, asked.to, asked.step)
    with _refusals():
        other = moved(planned, asked.event, start=asked.event_start, end=asked.event_end, intensity=asked.intensity)
        found = what_if(by.forecaster, asked.series, start, end, other, notation.STEPS[asked.step], planned)
    return json(
        Change(
            asked.series,
            by.loaded.version,
            found.calendar,
            found.step,
            _times(found.times),
            _round(found.before),
            _round(found.after),
        )
    )


def _track(came: Came, by: Deciding, recorder: Recorder, told: Told) -> Response:
    start, end = _window(came.start, came.to, came.step)
    step = notation.STEPS[came.step]
    times = grid(int(start.timestamp()), int(end.timestamp()), step)
    if len(came.values) > len(times):
        counts = f"{len(came.values)} entries for the {len(times)} steps of {came.step} there are"
        raise Problem(422, "invalid", f"`values` has {counts}: leave out what lies beyond `to`.")
    values = np.array([np.nan if value is None else value for value in came.values])
    known = np.isfinite(values)
    times, values = times[: len(values)][known], values[known]
    with _refusals():
        found = track_event(by.forecaster, came.series, times, values, start, end, step, by.calendar.events)
        record_actuals(recorder, told, by, came.series, times, values, step)
    return json(
        Followed(
            came.series,
            by.loaded.version,
            by.calendar.id,
            found.ratio,
            found.seen,
            found.outside,
            _times(found.times),
            _round(found.forecast),
            _round(found.expected),
            _round(found.low),
            _round(found.high),
        )
    )


def _window(start: str, end: str, step: str) -> tuple[datetime, datetime]:
    first, last = _instant(start, "from"), _instant(end, "to")
    steps = (last - first).total_seconds() / notation.STEPS[step]
    if steps < 1:
        raise Problem(422, "invalid", f"From {start} to {end} there is no step of {step}.")
    if steps > MAX_STEPS:
        detail = f"From {start} to {end} are {steps:,.0f} steps of {step}, more than {MAX_STEPS:,}: ask for less."
        raise Problem(422, "invalid", detail)
    return first, last


def _instant(text: str, name: str) -> datetime:
    try:
        return notation.instant(text)
    except ValueError:
        raise Problem(422, "invalid", f"`{name}` is {text!r}, which is no time: write 2026-11-27T18:00:00Z.") from None


def _levels(listed: str) -> list[float]:
    try:
        return notation.quantiles(listed)
    except ValueError:
        detail = f"`quantiles` is {listed!r}: write numbers between 0 and 1 with commas."
        raise Problem(422, "invalid", detail) from None


@contextmanager
def _refusals() -> Iterator[None]:
    """What the forecaster refuses is the request's fault."""
    try:
        yield
    except (HeadgateError, ValueError) as error:
        raise Problem(422, "invalid", str(error)) from None


def _times(times: Any) -> list[str]:
    return [f"{datetime.fromtimestamp(int(time), UTC):%Y-%m-%dT%H:%M:%SZ}" for time in times]


def _round(values: Any) -> list[float]:
    return [float(value) for value in np.round(values, 3)]


_ERRORS = {
    422: "A parameter is missing, unknown or out of range, or the version has no such series or reach.",
    503: "No version is loaded yet, or a calendar is set and could not be read yet.",
}
_FORECAST = Operation(
    summary="Forecast a series",
    description="The forecast of a series and its quantiles, as JSON or CSV. A quantile is of the step that is asked "
    "for: the sum of upper quantiles of minutes is no upper quantile of the hour. Capacity comes from `peak`.",
    query=Asked,
    answer=Answer,
    errors=_ERRORS,
)
_EXPLAIN = Operation(
    summary="Explain a forecast",
    description="Baseline, trend, season, clock and each kind of event, as factors whose product is the forecast.",
    query=Explained,
    answer=Parts,
    errors=_ERRORS,
)
_WHATIF = Operation(
    summary="What if an event were another",
    description="The forecast as planned, and with one event moved, stretched or grown. Nothing is fitted again.",
    query=Supposed,
    answer=Change,
    errors=_ERRORS,
)
_TRACK = Operation(
    summary="Hold what came against its forecast",
    description="Takes what came so far, and answers the rest of the window re-scaled, with a band that learns from "
    "its misses (adaptive conformal inference).",
    body=Came,
    body_example={
        "series": "eu-central/home/requests",
        "from": "2026-03-16T18:00:00Z",
        "to": "2026-03-16T18:05:00Z",
        "values": [1210, 1190, None],
    },
    answer=Followed,
    errors=_ERRORS | {400: "The body is not JSON.", 413: "The body is longer than 1 MiB."},
)
