"""`headgate capacity gameday`: the load of an event, rehearsed on a target until it breaks."""

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from ipaddress import ip_address
from math import isnan
from pathlib import Path
from typing import Annotated

import typer

from headgate.commands.options import Json, Version, answer
from headgate.domains.capacity.commands.calendar_options import Author, CalendarIn
from headgate.domains.capacity.commands.completion import series_names
from headgate.errors import UsageError


def gameday(
    event: Annotated[str, typer.Option(metavar="NAME", help="The event of the calendar that is rehearsed.")],
    target: Annotated[
        str | None, typer.Option(metavar="URL", help="One instance; `headgate serve` on this machine if left out.")
    ] = None,
    series: Annotated[
        str | None,
        typer.Option(
            metavar="REGION/SERVICE/METRIC",
            help="Whose load the instance carries; the event's, if it touches one.",
            autocompletion=series_names,
        ),
    ] = None,
    type_: Annotated[
        str, typer.Option("--type", metavar="TYPE", help="Of the instance, as the fleet file calls it.")
    ] = "",
    each: Annotated[
        float, typer.Option(min=1e-9, max=1e9, help="How much of the series a request of the load is.")
    ] = 1.0,
    objective: Annotated[
        str, typer.Option(metavar="QUANTILE=TIME", help="What must hold, for example p99=50ms or p99.9=0.2s.")
    ] = "p99=50ms",
    failures: Annotated[float, typer.Option(metavar="SHARE", help="Of the requests, at most.")] = 0.001,
    by_default: Annotated[
        float, typer.Option(metavar="SHARE", help="Of the decisions, given without counters, at most.")
    ] = 0.05,
    first: Annotated[
        float, typer.Option("--from", min=1, max=1e6, metavar="RATE", help="Requests a second to begin with.")
    ] = 50,
    most: Annotated[float, typer.Option(min=1, max=1e6, metavar="RATE", help="Requests a second, at most.")] = 20_000,
    seconds: Annotated[float, typer.Option(min=0.1, max=3600, help="Of a step; at low rates it lasts longer.")] = 5.0,
    within: Annotated[
        float, typer.Option(min=0.01, max=1440, metavar="MINUTES", help="For the search, at most.")
    ] = 15.0,
    minutes: Annotated[
        float, typer.Option(min=0, max=1440, help="Into which the event's path is compressed; 0: no path.")
    ] = 3.0,
    quantile: Annotated[float, typer.Option(help="Of the forecast that is the path.")] = 0.95,
    around: Annotated[str, typer.Option(metavar="LENGTH", help="Of the path before and after the event.")] = "2h",
    utilisation: Annotated[float, typer.Option(help="How full the plan lets an instance get.")] = 0.65,
    in_: Annotated[
        Path | None,
        typer.Option("--in", metavar="DIR", help="The source whose masks.csv is told; HEADGATE_CALENDAR if left out."),
    ] = None,
    mask_series: Annotated[
        list[str] | None,
        typer.Option(metavar="REGION/SERVICE/METRIC", help="What sees this traffic; again for more; --series if none."),
    ] = None,
    no_mask: Annotated[bool, typer.Option("--no-mask", help="Mask nothing: no series sees this traffic.")] = False,
    reason: Annotated[str, typer.Option(help="Why; it stands in the masks' history.")] = "",
    author: Author = None,
    yes: Annotated[bool, typer.Option("--yes", help="Break a target that is not on this machine.")] = False,
    token: Annotated[
        str | None, typer.Option(envvar="HEADGATE_TOKEN", help="A bearer token with the scope decide.")
    ] = None,
    calendar: CalendarIn = None,
    version: Version = "champion",
    of: Annotated[str, typer.Option("--of", metavar="DOMAIN", help="Whose requests it is.")] = "adclicks",
    seed: Annotated[int, typer.Option(min=0, help="Of the instants, users and IPs.")] = 0,
    json: Json = False,
) -> None:
    """Find the rate at which an instance breaks its objective, and rehearse an event on it.

    headgate capacity gameday --event summer-sale-2026 --target http://127.0.0.1:8000 --in data/shop --type m7i.2xlarge

    Flat steps of open-loop requests, twice as many each time until the objective breaks, then up and down around the
    limit. Then the upper path of the event, compressed, with its peak at what the plan lets an instance carry. The
    requests bear the tag `gameday:`: the log keeps them, and training, the watch, masks of robots and replays leave
    them out. The minutes are masked as load-test from before the first request. `units: gameday` in a fleet file takes
    what is found. It overloads the target on purpose: try one instance that nobody else uses. Ctrl-C reports what there
    is. Exits 1 where no limit was found.
    """
    from headgate import settings
    from headgate.contract.gameday import tag_of
    from headgate.contract.requests import Target
    from headgate.data.datasets import exclusively
    from headgate.decisions import gameday
    from headgate.domain import get_domain
    from headgate.domains.capacity.commands.calendar_options import length, signature
    from headgate.domains.capacity.commands.forecast import calendar_of
    from headgate.domains.capacity.companions.followed import shared_folder
    from headgate.domains.capacity.gameday import day, report
    from headgate.domains.capacity.gameday.masked import mask_minutes, places, source
    from headgate.domains.capacity.gameday.path import event_of, series_of, upper
    from headgate.domains.capacity.gameday.picture import draw
    from headgate.domains.capacity.model.forecaster import Forecaster
    from headgate.load.objective import read_objective
    from headgate.load.progress import progress
    from headgate.load.trial import Trial
    from headgate.registry import versions

    requests = get_domain(of).requests
    if requests is None:
        raise UsageError(f"{of} says of no endpoint what asks it, so there is no load of it: choose another.")
    given = {"each": each, "from": first, "most": most, "seconds": seconds, "within": within, "minutes": minutes}
    for name, value in given.items():
        if isnan(value):  # which passes the bounds
            raise UsageError(f"--{name} is not a number: correct it, or leave it out.")
    if not 0 < quantile < 1:
        raise UsageError(f"--quantile {quantile:g} must lie between 0 and 1.")
    if not 0 < utilisation <= 1:
        raise UsageError(f"--utilisation {utilisation:g} must lie between 0 and 1.")
    if first > most:
        raise UsageError(f"--from {first:g} lies above --most {most:g}: exchange or correct them.")
    aim, beside = read_objective(objective, failures, by_default), length(around)
    assert beside is not None
    here = settings.load()
    where = Target((target or f"http://{here.host}:{here.serve_port}").rstrip("/"), requests.path, token)
    where.head(0)  # what no address or token can be is said before the work
    if not yes and not _is_here(where.place[0]):
        raise UsageError(
            f"A game day overloads {where.address} on purpose, and that is not this machine: make sure that it is an "
            "instance that nobody else uses, and add --yes."
        )
    if no_mask and (in_ or mask_series):
        raise UsageError("--no-mask masks nothing: leave it out, or --in and --mask-series.")
    folder = None if no_mask else source(in_ or shared_folder(here))
    chosen = versions.wanted(here, "capacity", version)
    forecaster = Forecaster(versions.fetch(chosen, here))
    known = calendar_of(calendar)
    planned = event_of(forecaster.calendar if known is None else known, event)
    one = series_of(forecaster, planned, series)
    path = upper(forecaster, one, planned, beside, quantile, known)
    asked = day.Asked(event, first, most, 60 * within, 60 * minutes, utilisation, quantile, each, type_)
    on = Trial(requests, where, aim, seconds, tag_of(event), seed, told=_teller(json))
    by = signature(author, reason or f"game day {event} at {where.address}", None, False)
    masking: AbstractContextManager[list[str]] = (
        nullcontext([])
        if folder is None
        else mask_minutes(folder, event, places(folder, mask_series or [one.series]), asked.planned(seconds), by)
    )
    with exclusively(here, "gameday-{}-{}".format(*where.place)):
        on.greet()  # what does not answer, or refuses, is said before anything is masked
        with _terminated(), gameday.noted(here.home, asked.planned(seconds)), masking as masks:
            forecast = (chosen.number, forecaster.companion(known))
            made = day.run(asked, on, path, forecast, masks, progress)
    file = report.write(made, here.home / report.FOLDER)
    picture = file.with_suffix(".png") if made.steps else None
    if picture:
        draw(made, picture)
    masked_by = f"Masked by {', '.join(made.masks)} in {folder}.\n" if made.masks else ""
    shown = f", and {picture.name} beside it shows it" if picture else ""
    answer(
        report.plain(made) | {"report": str(file), "picture": str(picture) if picture else None},
        json,
        f"{made.words()}\n{masked_by}{file} holds it{shown}.",
    )
    raise typer.Exit(1 if not made.found else 130 if made.stopped else 0)


def _is_here(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@contextmanager
def _terminated() -> Iterator[None]:
    """SIGTERM ends the block as Ctrl-C does: with masks and a report. Also where a shell started it in the background,
    and so had it ignore Ctrl-C."""
    before = {
        signal.SIGINT: signal.signal(signal.SIGINT, signal.default_int_handler),
        signal.SIGTERM: signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT)),
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _teller(json: bool) -> Callable[[str], None]:
    """A line for people on a terminal, nothing for pipes."""
    if json or not sys.stderr.isatty():
        return lambda _: None
    return lambda words: typer.echo(f"  {words}", err=True)
