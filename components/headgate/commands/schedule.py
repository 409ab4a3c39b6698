"""`headgate schedule`: the daily runs of this machine."""

from datetime import time
from typing import Annotated

import typer

from headgate import settings
from headgate.commands.options import AllDomains, pairs
from headgate.errors import UsageError


def schedule(
    domain: AllDomains = None,
    source: Annotated[
        list[str] | None,
        typer.Option(metavar="DOMAIN=DIR", help="Its raw files; else HEADGATE_SOURCE_DOMAIN, else the demo's."),
    ] = None,
    at: Annotated[str, typer.Option(metavar="HH:MM", help="When the daily run begins, UTC.")] = "03:00",
) -> None:
    """Retrain every day, catch up on missed days, serve manual runs.

    Manual runs come from the Prefect UI. All domains that have a source, unless some are named; until Ctrl-C.
    """
    from headgate.orchestration.deployments import find_sources, serve

    try:
        begins = time.fromisoformat(at)
    except ValueError:
        begins = None
    if begins is None or begins.tzinfo or begins.second or begins.microsecond:
        raise UsageError(f"--at {at} is no time of day: write 03:00; it is UTC.")
    given = pairs(source, "DOMAIN=DIR", "--source rooms=data/rooms")
    here = settings.load()
    serve(here, find_sources(here, [one.name for one in domain or []], given), begins)
