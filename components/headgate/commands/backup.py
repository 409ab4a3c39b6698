"""`headgate backup|restore`: all that cannot be made again, in one file, and back."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from headgate import settings
from headgate.commands.options import Json, answer, every_domain


def backup(
    out: Annotated[
        str,
        typer.Option("--out", metavar="PATH", help="A file, replaced if there; or a folder, made if it ends in /."),
    ],
    with_store: Annotated[
        bool, typer.Option("--with-store", help="Also bytes about persons; those that have a key stay encrypted.")
    ] = False,
    json: Json = False,
) -> None:
    """Back up all that cannot be made again, as it is at one moment.

    Registry, artifacts, ledger, datasets, decision log and corrections; never the keys of persons' bytes.
    """
    from headgate.operations.backup import make_backup

    here, target = settings.load(), Path(out).expanduser()
    if out.endswith("/") and here.home.is_dir():  # a path forgets the slash: every night would write the same file
        target.mkdir(parents=True, exist_ok=True)
    made = make_backup(here, target, with_store=with_store)
    answer(made.brief(), json, made.words())


def restore(
    archive: Annotated[Path, typer.Option("--from", metavar="FILE", help="What `headgate backup` wrote.")],
    into: Annotated[
        Path | None, typer.Option("--into", metavar="FOLDER", help="A state folder; HEADGATE_HOME if left out.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Move aside a state folder that is not empty.")] = False,
    receipts: Annotated[
        Path | None,
        typer.Option("--receipts", metavar="FOLDER", help="Receipts of what was forgotten since, to forget again."),
    ] = None,
    json: Json = False,
) -> None:
    """Bring a backup back, once every byte of it is verified.

    The ledger and its anchors are verified too. What was forgotten since it was made is forgotten again.
    """
    from headgate.operations.restore import restore_backup

    here = settings.load()
    where = replace(here, home=into.expanduser().resolve()) if into else here
    done = restore_backup(archive, where, every_domain(), force=force, receipts=receipts)
    answer(done, json, done.words())
