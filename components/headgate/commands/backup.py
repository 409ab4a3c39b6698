"""`headgate backup|restore`: all that cannot be made again, in one file, and back."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from headgate import settings
from headgate.commands.options import Json, answer


def backup(
    out: Annotated[
        str,
        typer.Option("--out", metavar="PATH", help="A file, replaced if there; or a folder, made if it ends in /."),
    ],
    json: Json = False,
) -> None:
    """Back up all that cannot be made again, as it is at one moment.

    Registry, artifacts, ledger, datasets, decision log and corrections.
    """
    from headgate.operations.backup import make_backup

    here, target = settings.load(), Path(out).expanduser()
    if out.endswith("/") and here.home.is_dir():  # a path forgets the slash: every night would write the same file
        target.mkdir(parents=True, exist_ok=True)
    made = make_backup(here, target)
    answer(made.brief(), json, made.words())


def restore(
    archive: Annotated[Path, typer.Option("--from", metavar="FILE", help="What `headgate backup` wrote.")],
    into: Annotated[
        Path | None, typer.Option("--into", metavar="FOLDER", help="A state folder; HEADGATE_HOME if left out.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Move aside a state folder that is not empty.")] = False,
    json: Json = False,
) -> None:
    """Bring a backup back, once every byte of it is verified.

    The ledger and its anchors are verified too.
    """
    from headgate.operations.restore import restore_backup

    here = settings.load()
    where = replace(here, home=into.expanduser().resolve()) if into else here
    done = restore_backup(archive, where, force=force)
    answer(done, json, done.words())
