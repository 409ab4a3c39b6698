"""`headgate trace` and `headgate log export`: what the decision log tells."""

from typing import Annotated

import typer

from headgate import settings
from headgate.commands.options import DomainArgument, Json, Out, answer, every_domain
from headgate.errors import UsageError

log_app = typer.Typer(help="The decision log.", no_args_is_help=True)


def trace(
    decision: Annotated[str, typer.Argument(metavar="DECISION", help="A decision_id, as the endpoint answers it.")],
    json: Json = False,
) -> None:
    """Tell how a decision came about.

    Its version, run and data, what the ledger says, and what corrected it since.
    """
    from headgate.decisions.trace import trace_decision

    told = trace_decision(settings.load(), every_domain(), decision)
    answer(told, json, told.words())


@log_app.command("export")
def log_export(
    domain: DomainArgument,
    out: Out,
    outcomes: Annotated[
        str | None, typer.Option(help="A folder or s3://bucket/prefix with what came of it in the raw schema.")
    ] = None,
    json: Json = False,
) -> None:
    """Write the logged events as raw files to train on; what is there already is brought up to date."""
    from headgate.data import sources

    if outcomes is not None:
        sources.check(outcomes)
    export = domain.logs.export
    if export is None:
        raise UsageError(f"{domain.name} does not learn from its decision log, so there is nothing to write.")
    report = export(settings.load(), out, outcomes)
    answer(report, json, report.words())
