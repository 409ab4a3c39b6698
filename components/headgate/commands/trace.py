"""`headgate trace` and `headgate log export`: what the decision log tells."""

from typing import Annotated

import typer

from headgate import settings
from headgate.commands.options import DomainName, Json, Out, answer


def trace(
    decision: Annotated[str, typer.Argument(metavar="DECISION", help="A decision_id, as the endpoint answers it.")],
    json: Json = False,
) -> None:
    """Tell how a decision came about: its version, run and data, what the ledger says, and what corrected it since."""
    from headgate.decisions.trace import trace as tell

    told = tell(settings.load(), decision)
    answer(told, json, told.words())


def log_export(
    domain: DomainName,
    out: Out,
    outcomes: Annotated[
        str | None, typer.Option(help="A folder or s3://bucket/prefix with purchases and refunds in the raw schema.")
    ] = None,
    json: Json = False,
) -> None:
    """Write the logged events as raw files to train on; what is there already is brought up to date."""
    from headgate import domains
    from headgate.data import sources

    if outcomes is not None:
        sources.check(outcomes)
    report = domains.live(domain).export(settings.load(), out, outcomes)
    answer(report, json, report.words())
