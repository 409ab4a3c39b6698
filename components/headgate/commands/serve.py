"""`headgate serve | servers | demo`: everything that stays up on this machine."""

from dataclasses import replace
from typing import Annotated

import typer

from headgate import settings
from headgate.commands.options import Domains


def serve(
    domain: Domains,
    host: Annotated[str | None, typer.Option(help="What to listen on.")] = None,
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="The port; the next free one if it is taken.")
    ] = None,
    workers: Annotated[
        int, typer.Option(min=1, max=256, help="Processes that share the port; more than one need HEADGATE_REDIS.")
    ] = 1,
) -> None:
    """Answer decisions with the champion, and follow it."""
    from headgate.access.tokens import refuse_open_doors
    from headgate.servers import free_port
    from headgate.serving.process import run

    here = settings.load()
    host, wanted = host or here.host, port or here.serve_port
    refuse_open_doors(replace(here, host=host))
    free = free_port(host, wanted)
    if free != wanted:
        typer.secho(f"Port {wanted} is taken; listening on {free}.", fg="yellow", err=True)
    run([one.name for one in domain], host, free, workers)


def servers() -> None:
    """Run MLflow and Prefect on this machine until Ctrl-C."""
    from headgate.commands.demo import serve_all

    serve_all(settings.load())


def demo(
    serve: Annotated[
        bool, typer.Option("--serve", help="Then serve, with a table of addresses, until Ctrl-C.")
    ] = False,
) -> None:
    """The main job on simulated data: retrain every domain, and report.

    Data is simulated once, if there is none yet.
    """
    from headgate.commands.demo import run_demo

    raise typer.Exit(run_demo(settings.load(), serve=serve))
