"""`headgate gc`: remove what is old and what nothing refers to any more."""

import re
from typing import Annotated

import typer

from headgate import settings
from headgate.commands.completion import domain_names
from headgate.commands.options import Json, answer, every_domain, one_domain
from headgate.errors import UsageError

_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


def gc(
    domain: Annotated[
        str,
        typer.Argument(
            metavar="DOMAIN|all", help="Which domain. Data of versions: only with all.", autocompletion=domain_names
        ),
    ],
    keep_days: Annotated[int, typer.Option(min=1, help="What is younger stays.")] = 90,
    keep_bytes: Annotated[
        str | None, typer.Option(metavar="SIZE", help="Also the oldest days of a log that is larger: 500M, 20G.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    json: Json = False,
) -> None:
    """Remove old days of the log, what is over, and what nothing needs.

    That is bytes about persons past their lifetime, bundles, and data of versions. It also finishes forgettings that
    were cut off. What the ledger's line of champions, an alias, or an entry of the last
    --keep-days refers to stays.
    """
    from headgate.decisions.retention import collect
    from headgate.operations.forget import finish_owed

    size, here = None if keep_bytes is None else _bytes(keep_bytes), settings.load()
    domains = every_domain() if domain == "all" else [one_domain(domain)]
    if not dry_run:
        for one in domains:
            finish_owed(here, one)
    done = collect(
        here,
        domains,
        everything=domain == "all",
        keep_days=keep_days,
        keep_bytes=size,
        dry_run=dry_run,
    )
    answer(done, json, done.words())


def _bytes(text: str) -> int:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?", text.strip(), re.IGNORECASE)
    if not found:
        raise UsageError(f"--keep-bytes {text} is no size: write 500M or 20G.")
    return int(float(found[1]) * _UNITS[found[2].upper()])
