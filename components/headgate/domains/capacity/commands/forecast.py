"""What the command line asks of forecasts: `headgate capacity forecast | explain | whatif | track | headroom`."""

import json as text
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headgate.commands.options import Json, Version
from headgate.domains.capacity.commands.calendar_options import CalendarIn
from headgate.domains.capacity.commands.completion import series_names
from headgate.domains.capacity.data import notation
from headgate.errors import UsageError
from headgate.files import refuse_unwritable

if TYPE_CHECKING:
    from headgate.domains.capacity.model.forecaster import Forecaster

SeriesName = Annotated[
    str,
    typer.Option(
        "--series",
        metavar="REGION/SERVICE/METRIC",
        help='Which series; "*" stands for all of a level.',
        autocompletion=series_names,
    ),
]
From = Annotated[
    str,
    typer.Option("--from", metavar="TIME", help="The first step, e.g. 2026-11-27 (UTC) or 2026-11-27T18:00+01:00."),
]
To = Annotated[str, typer.Option("--to", metavar="TIME", help="The end; it is not included.")]


def forecast(
    series: SeriesName,
    start: From,
    end: To,
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="A .csv or .parquet file.")],
    step: Annotated[str, typer.Option(help="1min, 5min, 15min, 1h, 1d or 1w.")] = "1h",
    quantiles: Annotated[str, typer.Option(help="Which, with commas.")] = "0.05,0.1,0.5,0.9,0.95",
    calendar: CalendarIn = None,
    version: Version = "champion",
    json: Json = False,
) -> None:
    """Forecast a series with its band, and the largest step of the window.

    headgate capacity forecast --series eu/home/requests --from 2026-11-27 --to 2026-11-30 --step 1h --out cyber.csv
    """
    import polars as pl

    from headgate.errors import DataRefused
    from headgate.files import atomic_file

    refuse_unwritable(out, ".csv", ".parquet")
    asked = _levels(quantiles)
    number, forecaster = _load(version)
    known = calendar_of(calendar)
    first, last = _instant(start), _instant(end)
    said = forecaster.forecast(series, first, last, step=_step(step), levels=asked, calendar=known)
    columns = {f"q{100 * level:04.1f}".replace(".0", "").replace(".", "_"): said.quantiles[level] for level in asked}
    table = pl.DataFrame({"time_utc": said.times, **columns}).with_columns(
        pl.from_epoch("time_utc").dt.strftime("%Y-%m-%dT%H:%M:%SZ")
    )
    with atomic_file(out) as draft:
        if out.suffix == ".parquet":
            table.write_parquet(draft)
        else:
            table.write_csv(draft, float_precision=3)
    try:
        highest = forecaster.peak(series, first, last, calendar=known)
    except DataRefused:
        highest = {}
    answer = {
        "domain": "capacity",
        "version": number,
        "series": series,
        "rows": len(table),
        "out": str(out),
        "certified": said.certified,
        "calendar": forecaster.companion(known),
        "peak": {f"{level:g}": value for level, value in highest.items()},
    }
    words = f"{len(table):,} steps of {series} by version {number} are in {out}."
    if highest:
        words += f" The largest step: {highest[0.5]:,.0f} (median), {highest[0.95]:,.0f} (with 95 %)."
    if first < forecaster.as_of:
        words += f" Steps before {forecaster.as_of:%Y-%m-%dT%H:%MZ} were fitted, not forecast."
    if not said.certified:
        words += " It reaches further ahead than any origin could test: beyond, the band widens with √horizon."
    _answer(answer, json, words)


def explain(
    series: SeriesName,
    start: From,
    end: To,
    calendar: CalendarIn = None,
    version: Version = "champion",
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="A .png with the factors as a plot.")
    ] = None,
    json: Json = False,
) -> None:
    """Take a forecast apart into its factors: baseline, trend, season, clock, and every kind of event.

    headgate capacity explain --series eu/home/requests --from 2026-11-27T18:00Z --to 2026-11-27T18:01Z
    """
    from dataclasses import asdict

    from headgate.domains.capacity.serving.explain import explain_forecast, picture

    if out is not None:
        refuse_unwritable(out, ".png")
    _, forecaster = _load(version)
    known = calendar_of(calendar)
    found = explain_forecast(forecaster, series, _instant(start), _instant(end), known)
    if out is not None:
        picture(forecaster, series, _instant(start), _instant(end), known, out)
    _answer(asdict(found), json, found.words())


def whatif(
    series: SeriesName,
    start: From,
    end: To,
    event: Annotated[str, typer.Option(help="The event of the calendar that is to be another.")],
    event_start: Annotated[str | None, typer.Option(help="Its start then.")] = None,
    event_end: Annotated[str | None, typer.Option(help="Its end then.")] = None,
    intensity: Annotated[float | None, typer.Option(min=0.01, help="Its intensity then.")] = None,
    calendar: CalendarIn = None,
    version: Version = "champion",
    json: Json = False,
) -> None:
    """What a forecast would be if an event were moved, stretched or grew. Nothing is fitted again.

    headgate capacity whatif --series eu/home/requests --from 2026-07-10 --to 2026-07-20 --event summer-sale-2026
    --event-start 2026-07-13 --event-end 2026-07-15
    """
    from headgate.domains.capacity.serving.explain import moved, what_if

    number, forecaster = _load(version)
    planned = calendar_of(calendar)
    other = moved(
        forecaster.calendar if planned is None else planned,
        event,
        start=event_start,
        end=event_end,
        intensity=intensity,
    )
    if event_start is None and event_end is None and intensity is None:
        raise UsageError("Say what is to be another: give --event-start, --event-end or --intensity.")
    found = what_if(forecaster, series, _instant(start), _instant(end), other, planned=planned)
    sums = float(found.before.sum()), float(found.after.sum())
    highest = float(found.before.max()), float(found.after.max())
    answer = {
        "version": number,
        "series": series,
        "before": sums[0],
        "after": sums[1],
        "highest_before": highest[0],
        "highest_after": highest[1],
        "calendar": found.calendar,
    }
    words = (
        f"{series}: {sums[0]:,.0f} → {sums[1]:,.0f} ({100 * (found.change - 1):+.1f} %), "
        f"the highest step of its median {highest[0]:,.0f} → {highest[1]:,.0f}."
    )
    if not found.differs:
        words += f" {event} does not touch these steps of it, neither before nor after, or has no learned effect."
    _answer(answer, json, words)


def track(
    series: SeriesName,
    start: From,
    end: To,
    on: Annotated[Path, typer.Option("--on", metavar="DIR", help="A source folder with what came so far.")],
    version: Version = "champion",
    json: Json = False,
) -> None:
    """Hold what came against its forecast, and re-scale the rest of the window.

    headgate capacity track --series eu/home/requests --from 2026-11-27 --to 2026-11-28 --on /data/load
    """
    import numpy as np

    from headgate.domains.capacity.data.raw import load_matrix
    from headgate.domains.capacity.serving.track import track_event

    _, forecaster = _load(version)
    parts = [model.series[j].series for model, columns in forecaster.parts(series) for j in columns]
    times, each = load_matrix(on, parts, None)
    values = each.sum(axis=1, dtype=np.float64, keepdims=True)  # a step of a total came when all its parts have
    known = ~np.isnan(values[:, 0])
    first, last = _instant(start), _instant(end)
    found = track_event(forecaster, series, times[known], values[known, 0], first, last)
    left = float(found.expected[~np.isfinite(found.actual)].sum())
    answer = {
        "series": series,
        "seen": found.seen,
        "ratio": found.ratio,
        "outside": found.outside,
        "expected_rest": left,
        "forecast_rest": float(found.forecast[~np.isfinite(found.actual)].sum()),
    }
    words = (
        f"{series}: {found.seen:,} steps came, {found.outside:,} of them outside the 80 % band; lately "
        f"{found.ratio:.2f} times the forecast. Of the rest {left:,.0f} is expected."
    )
    _answer(answer, json, words)


def headroom(
    start: From,
    end: To,
    risk: Annotated[float, typer.Option(help="The chance, over all series together, that any runs short.")] = 0.05,
    series: Annotated[
        list[str] | None,
        typer.Option(
            "--series",
            metavar="REGION/SERVICE/METRIC",
            help="Which series; more than one is usual.",
            autocompletion=series_names,
        ),
    ] = None,
    cost: Annotated[
        list[str] | None,
        typer.Option(metavar="SERIES=PRICE|FILE", help="What a unit costs, or a .csv with series and cost; 1 if none."),
    ] = None,
    calendar: CalendarIn = None,
    version: Version = "champion",
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="A .csv or .parquet file.")] = None,
    json: Json = False,
) -> None:
    """Spread one risk budget over services so that their capacity costs least.

    headgate capacity headroom --from 2026-11-27 --to 2026-11-30 --risk 0.05 --series eu/home/requests
    --series eu/cart/requests --cost eu/home/requests=1 --cost eu/cart/requests=3.5
    """
    import polars as pl

    from headgate.calibration.budget import percent
    from headgate.domains.capacity.serving.risk_budget import asked, plan, prices
    from headgate.files import atomic_file

    if out is not None:
        refuse_unwritable(out)
    price = prices(cost or [])
    number, forecaster = _load(version)
    known = calendar_of(calendar)
    wanted = asked(forecaster, series or [], price)
    names = list(wanted)
    found, certified = plan(forecaster, names, _instant(start), _instant(end), list(wanted.values()), risk, known)
    rows = found.rows(names)
    if out is not None:
        table = pl.DataFrame(rows)
        with atomic_file(out) as draft:
            if out.suffix == ".parquet":
                table.write_parquet(draft)
            else:
                table.write_csv(draft)
    answer = {
        "domain": "capacity",
        "version": number,
        "risk": risk,
        "paths": found.paths,
        "certified": certified,
        "calendar": forecaster.companion(known),
        "services": rows,
        "cost": found.cost,
        "even_cost": found.even_cost,
        "saved_by_next_point": found.slope / 100,
        "out": None if out is None else str(out),
    }
    lines = [f"By version {number}, at most {percent(risk)} of such windows run short anywhere:"]
    lines += [
        f"  {row['series']}: {_amount(row['capacity'])} for an expected peak of {_amount(row['expected_peak'])} "
        f"({100 * row['headroom']:+.1f} %), short in {percent(row['risk'])}; evenly {_amount(row['even_capacity'])}"
        for row in rows
    ]
    against = f"{percent(found.saved)} less than" if found.saved else "as much as"
    lines.append(
        f"Together they cost {_amount(found.cost)}, {against} with the risk spread evenly "
        f"({_amount(found.even_cost)}). The next point of risk would save up to {_amount(found.slope / 100)} more."
    )
    if finer := [row for row in rows if row["risk"] * row["different_peaks"] < 1]:
        lines.append(
            f"{len(finer)} of these risks are finer than origins could show ({finer[0]['different_peaks']:,} different "
            "peaks): there the capacity is about the largest peak on any path, and more may come."
        )
    if not certified:
        lines.append("It reaches further ahead than any origin could test: beyond, the scores widen with √horizon.")
    if out is not None:
        lines.append(f"The table is in {out}.")
    _answer(answer, json, "\n".join(lines))


def _load(wanted: str) -> "tuple[int, Forecaster]":
    from headgate import settings
    from headgate.domains.capacity.model.forecaster import Forecaster
    from headgate.registry import versions

    here = settings.load()
    version = versions.wanted(here, "capacity", wanted)
    return version.number, Forecaster(versions.fetch(version, here))


def calendar_of(folder: Path | None) -> Any:
    """The calendar of a folder as it is known now: of the one that planners share; None, the version's own, of none."""
    from headgate import settings
    from headgate.domains.capacity.companions.calendar import Event
    from headgate.domains.capacity.companions.followed import known, shared_folder

    where = folder or shared_folder(settings.load())
    if where is None:
        return None
    found = known(where, Event, datetime.now(UTC))
    if found is None:
        raise UsageError(
            f"There is no calendar.csv in {where}: check {'--calendar' if folder else 'HEADGATE_CALENDAR'}."
        )
    return found[1]


def _levels(listed: str) -> list[float]:
    try:
        return notation.quantiles(listed)
    except ValueError:
        example = "numbers between 0 and 1 with commas, for example 0.1,0.5,0.9"
        raise UsageError(f"--quantiles {listed} must be {example}.") from None


def _step(name: str) -> int:
    if name not in notation.STEPS:
        raise UsageError(f"There is no step {name!r}: choose one of {', '.join(notation.STEPS)}.")
    return notation.STEPS[name]


def _instant(written: str) -> datetime:
    try:
        return notation.instant(written)
    except ValueError:
        raise UsageError(f"{written!r} is no time: write 2026-11-27 or 2026-11-27T18:00Z.") from None


def _amount(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _answer(value: dict[str, Any], as_json: bool, words: str) -> None:
    typer.echo(text.dumps(value, indent=2) if as_json else words)
