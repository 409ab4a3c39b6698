"""`headgate serve | servers | demo`: everything that stays up on this machine."""

from dataclasses import replace
from typing import Annotated, Any

import typer

from headgate import settings
from headgate.commands.completion import domain_names
from headgate.commands.options import Domains

_COMPLETED: dict[str, Any] = {"autocompletion": domain_names}


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
        bool, typer.Option("--serve", help="Then serve, with a table of addresses and a little live traffic.")
    ] = False,
    domain: Annotated[
        list[str] | None,
        typer.Option("--domain", metavar="DOMAIN", help="Which; again for more. All if left out.", **_COMPLETED),
    ] = None,
) -> None:
    """The main job on simulated data up to today: retrain every domain.

    Data is simulated once a day, and a version of a day is made once: what is there is used.
    """
    from headgate.commands.demo import run_demo
    from headgate.commands.options import every_domain, one_domain

    chosen = [one_domain(name) for name in dict.fromkeys(domain)] if domain else every_domain()
    raise typer.Exit(run_demo(settings.load(), chosen, serve=serve))
