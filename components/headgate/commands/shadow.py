"""`headgate shadow DOMAIN`: another version on the live traffic, off the request path."""

from typing import Annotated

import typer

from headgate import settings
from headgate.commands.completion import version_names
from headgate.commands.options import DomainArgument, Json, answer, instant


def shadow(
    domain: DomainArgument,
    version: Annotated[str, typer.Option(help="A number, or an alias.", autocompletion=version_names)] = "challenger",
    since: Annotated[
        str | None, typer.Option("--from", metavar="TIME", help="From when; a day before the end, if left out.")
    ] = None,
    until: Annotated[str | None, typer.Option("--to", metavar="TIME", help="To when; now, if left out.")] = None,
    json: Json = False,
) -> None:
    """What another version would have decided of the live traffic.

    Slice by slice, beside what was decided.
    """
    from headgate.decisions.shadow import run_shadow

    report = run_shadow(settings.load(), domain, version, instant(since), instant(until))
    answer(report, json, report.words())
