"""`headgate replay`: decide past events again, and publish only the differences."""

from typing import Annotated, cast

import typer

from headgate import settings
from headgate.commands.completion import version_names
from headgate.commands.options import DomainArgument, Json, answer, instant


def replay(
    domain: DomainArgument,
    since: Annotated[str, typer.Option("--from", metavar="TIME", help="The first decisions to decide again.")],
    until: Annotated[str, typer.Option("--to", metavar="TIME", help="The end; it is not included.")],
    version: Annotated[
        str,
        typer.Option(
            "--with", metavar="VERSION", help="A number, or an alias such as champion.", autocompletion=version_names
        ),
    ],
    mode: Annotated[
        str | None,
        typer.Option(
            help="logged: on the vectors as served; recompute: on ones rebuilt from the log.",
            show_default="logged; recompute with --pending",
        ),
    ] = None,
    out: Annotated[
        str | None, typer.Option("--out", metavar="DIR|s3://…", help="Where a copy of the corrections goes.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Publish nothing; say by slice what would change.")
    ] = False,
    pending: Annotated[
        bool, typer.Option("--pending", help="Only what was answered by default, because nothing could decide.")
    ] = False,
    reason: Annotated[str, typer.Option("--reason", help="Why, for whoever reads the ledger.")] = "",
    json: Json = False,
) -> None:
    """Decide past events again, and publish only what differs.

    Safe to repeat: what was published holds, a person's ruling is never overturned, live counters are not touched.
    """
    from headgate.decisions.replay import Asked, Mode, replay_decisions

    first, end = instant(since), instant(until)
    assert first is not None
    assert end is not None
    chosen = mode or ("recompute" if pending else "logged")  # what was answered by default has no vector
    asked = Asked(domain, first, end, cast(Mode, chosen), pending, dry_run, out, reason)
    done = replay_decisions(settings.load(), version, asked)
    answer(done, json, done.words())
