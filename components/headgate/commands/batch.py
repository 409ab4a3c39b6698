"""`headgate decide | evaluate | data checkout DOMAIN`: a version on whole folders, and the data behind it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from headgate import settings
from headgate.commands.options import DomainArgument, Json, Out, Version, answer, instant
from headgate.errors import UsageError

data_app = typer.Typer(help="The datasets behind versions.", no_args_is_help=True)

#: What `--on` calls the decision log.
LOG = "log"


def decide(
    domain: DomainArgument,
    on: Annotated[Path, typer.Option("--on", help="A folder of raw files.")],
    out: Out,
    version: Version = "champion",
    json: Json = False,
) -> None:
    """Decide every event of a folder with one version, as Parquet."""
    from headgate.operations.batch import decide_folder

    report = decide_folder(settings.load(), domain, version, on, out)
    answer(report, json, report.words())


def evaluate(
    domain: DomainArgument,
    on: Annotated[str, typer.Option("--on", metavar="DIR|log", help="Raw files with outcomes; or the decision log.")],
    version: Annotated[
        str | None,
        typer.Option(help="A number, or an alias; whatever decided, with --on log.", show_default="champion"),
    ] = None,
    outcomes: Annotated[
        Path | None, typer.Option(metavar="DIR", help="With --on log: raw files with what came of the decisions.")
    ] = None,
    since: Annotated[
        str | None, typer.Option("--from", metavar="TIME", help="Score nothing older; a day, with --on log.")
    ] = None,
    until: Annotated[
        str | None, typer.Option("--to", metavar="TIME", help="With --on log: the end, not included; now if left out.")
    ] = None,
    json: Json = False,
) -> None:
    """Score a version on any data, or what was decided live.

    Its baselines stand beside it. With --on log: what was decided from --from to --to, by what is known of it now.
    """
    from headgate.decisions.observed import live_scorecard
    from headgate.operations.batch import evaluate_folder

    here, first = settings.load(), instant(since)
    if on == LOG:
        if version is not None:
            raise UsageError("--on log scores what was decided, whichever version that was: leave --version out.")
        if outcomes is not None and not outcomes.is_dir():
            raise UsageError(f"There is no folder {outcomes}: check --outcomes.")
        end = instant(until) or datetime.now(UTC)
        live = live_scorecard(here, domain, first or end - timedelta(days=1), end, outcomes)
        answer(live, json, live.words())
        return
    if outcomes is not None or until is not None:
        raise UsageError("--outcomes and --to go with --on log: a folder holds its own outcomes, to its end.")
    report = evaluate_folder(here, domain, version or "champion", Path(on), first)
    answer(report, json, report.words())


@data_app.command("checkout")
def data_checkout(
    domain: DomainArgument,
    version: Version = "champion",
    out: Annotated[
        Path | None,
        typer.Option("--out", help="A new folder; checkout/DOMAIN-VERSION in the state folder if left out."),
    ] = None,
) -> None:
    """Restore the exact data behind a version from the DVC remote."""
    from headgate.operations.batch import checkout

    folders, target = checkout(settings.load(), domain.name, version, out)
    parts = ", ".join(path.name for path in folders)
    typer.echo(f"The data of {domain.name} version {version} is in {target}: {parts}.")
