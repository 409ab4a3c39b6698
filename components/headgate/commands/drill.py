"""`headgate drill DOMAIN NAME`: rehearse a disaster on a scratch copy."""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from headgate import settings
from headgate.commands.options import DomainArgument, Json, answer


def drill(
    domain: DomainArgument,
    name: Annotated[str, typer.Argument(metavar="NAME|all", help="Which one; a wrong name lists them all.")],
    json: Json = False,
) -> None:
    """Rehearse a disaster on a scratch copy.

    Exits 0 only if recovery was as promised.
    """
    from headgate.drills.table import DRILLS, chosen, rehearse

    drills = chosen(name)
    settings.load()
    done = []
    with TemporaryDirectory(prefix="headgate-world-") as folder:
        print("Making a small world: simulated data and a version that is sound …", file=sys.stderr, flush=True)
        for ended in rehearse(domain, drills, Path(folder)):
            done.append(ended)
            if not json:
                mark = "✓" if ended.passed else "✗"
                typer.echo(f"{mark} {ended.name:<20} {DRILLS[ended.name].promised}")
                typer.echo(f"  {ended.seconds:5.1f} s  {ended.seen}")
    passed = sum(ended.passed for ended in done)
    answer(done, json, f"{passed} of {len(done)} as promised.")
    raise typer.Exit(0 if passed == len(done) else 1)
