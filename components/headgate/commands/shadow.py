"""`headgate shadow DOMAIN`: another version on the live traffic, off the request path."""

from typing import Annotated

import typer

from headgate import settings
from headgate.commands.options import DomainName, Json, answer, instant
from headgate.domain import get_domain


def shadow(
    domain: DomainName,
    version: Annotated[str, typer.Option(help="A number, or an alias.")] = "challenger",
    since: Annotated[
        str | None, typer.Option("--from", metavar="TIME", help="From when; a day before the end, if left out.")
    ] = None,
    until: Annotated[str | None, typer.Option("--to", metavar="TIME", help="To when; now, if left out.")] = None,
    json: Json = False,
) -> None:
    """What a version would have decided of the live traffic, slice by slice, beside what was decided."""
    from headgate.decisions.shadow import run_shadow

    report = run_shadow(settings.load(), get_domain(domain), version, instant(since), instant(until))
    answer(report, json, report.words())
