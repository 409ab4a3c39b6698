"""`headgate schedule`: the daily runs of this machine."""

from datetime import time
from typing import Annotated

import typer

from headgate import settings as settings_module
from headgate.errors import UsageError


def schedule(
    domain: Annotated[
        list[str] | None, typer.Argument(metavar="[DOMAIN…]", help="Those that have a source, if left out.")
    ] = None,
    source: Annotated[
        list[str] | None,
        typer.Option(metavar="DOMAIN=DIR", help="Its raw files; else HEADGATE_SOURCE_DOMAIN, else the demo's."),
    ] = None,
    at: Annotated[str, typer.Option(metavar="HH:MM", help="When the daily run begins, UTC.")] = "03:00",
) -> None:
    """Retrain every day, catch up on missed days, and serve manual runs to the Prefect UI, until Ctrl-C."""
    from headgate.orchestration.deployments import find_sources, serve

    try:
        begins = time.fromisoformat(at)
    except ValueError:
        begins = None
    if begins is None or begins.tzinfo or begins.second or begins.microsecond:
        raise UsageError(f"--at {at} is no time of day: write 03:00; it is UTC.")
    given: dict[str, str] = {}
    for item in source or []:
        name, equals, where = item.partition("=")
        if not (name and equals and where):
            raise UsageError(f"--source {item} is not DOMAIN=DIR, for example --source adclicks=data/clicks.")
        given[name] = where
    here = settings_module.load()
    serve(here, find_sources(here, domain or [], given), begins)
