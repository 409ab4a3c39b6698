"""`headgate load DOMAIN`: open-loop load, measured from the instant at which each request was due."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from headgate import settings
from headgate.commands.options import DomainArgument, Json, answer
from headgate.errors import UsageError

#: Most connections that are opened unless more are asked for.
CONNECTIONS = 64


def load(
    domain: DomainArgument,
    rate: Annotated[float, typer.Option(help="Events a second, where the shape is at its highest.")],
    shape: Annotated[
        str,
        typer.Option(
            help="flat; peak: a smooth hump, from a third of the rate up to it and back; spike: a third, and all of it "
            "for a fifth of the time, reached within a second."
        ),
    ] = "flat",
    minutes: Annotated[float, typer.Option(min=0, help="How long; --seconds comes on top of it.")] = 0,
    seconds: Annotated[float, typer.Option(min=0, help="How long.")] = 0,
    target: Annotated[
        str | None, typer.Option(metavar="URL", help="Where; `headgate serve` on this machine if left out.")
    ] = None,
    batch: Annotated[
        int | None, typer.Option(min=1, max=1000, help="Events in a request, as a list; one alone if left out.")
    ] = None,
    token: Annotated[
        str | None, typer.Option(envvar="HEADGATE_TOKEN", help="A bearer token with the scope decide.")
    ] = None,
    connections: Annotated[
        int | None, typer.Option(min=1, max=1000, help="Connections at most; by the rate if left out.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="The same seed: the same instants, users and IPs.")] = 0,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="For latency.png and latency.json; load/DOMAIN in the state if left out."),
    ] = None,
    json: Json = False,
) -> None:
    """Ask for decisions at a rate, and show how long they took.

    Open loop: requests are due at instants of a Poisson process, as those of many people are, and no slow answer puts
    the next one off. A latency runs from the instant at which its request was due, so a server that stalls shows it
    in every request that fell due meanwhile. Exits 1 if any request failed. Ctrl-C reports what there is.
    """
    requests = domain.requests
    if requests is None:
        raise UsageError(
            f"{domain.name} says of no endpoint that it is asked by the thousand, so there is no load for it."
        )
    if not minutes and not seconds:
        raise UsageError("Say how long: --minutes 5, or --seconds 30.")

    from headgate.contract.requests import Target
    from headgate.files import write_json
    from headgate.load import server_time
    from headgate.load.generator import Limits, run
    from headgate.load.picture import draw
    from headgate.load.progress import progress
    from headgate.load.report import QUANTILES, report
    from headgate.load.schedule import Schedule

    here = settings.load()
    where = Target((target or f"http://{here.host}:{here.serve_port}").rstrip("/"), requests.path, token)
    where.head(0)  # what no address or token can be is said before the work
    folder = out or here.home / "load" / domain.name
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{folder} cannot be made ({error.strerror}): name another folder with --out.") from error
    schedule = Schedule(rate / (batch or 1), 60 * minutes + seconds, shape)
    due = schedule.due(seed)
    population = requests.draw(len(due), where, batch=batch, seed=seed)
    limits = Limits(connections or round(min(CONNECTIONS, max(4, schedule.rate / 8))))
    before = server_time.scrape(where.address, requests.path, token)
    told_how_far = progress(schedule.seconds)
    measured = run(where, due, population.request, limits, progress=told_how_far, by_default=requests.by_default)
    if told_how_far:
        print(file=sys.stderr)
    after = server_time.scrape(where.address, requests.path, token)
    bounds = server_time.quantiles(before, after, list(QUANTILES.values()))
    told = report(measured, schedule, where, batch=batch, seed=seed, inside=bounds)
    write_json(folder / "latency.json", told.plain())
    draw(measured, schedule, told, folder / "latency.png")
    answer(told.plain(), json, f"{told.words()}\n{folder / 'latency.png'} shows the distribution.")
    raise typer.Exit(130 if measured.interrupted else bool(told.failed))
