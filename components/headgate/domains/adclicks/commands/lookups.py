"""`headgate adclicks lookups`: what serving knows of accounts and campaigns besides what a click says."""

from pathlib import Path
from typing import Annotated

import typer

from headgate import settings
from headgate.commands.options import Json, answer
from headgate.errors import UsageError

lookups_app = typer.Typer(name="lookups", help="What serving looks up: accounts and campaigns.", no_args_is_help=True)


@lookups_app.command("load")
def load(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="CSV or Parquet.")],
    table: Annotated[
        str, typer.Option(help="accounts (columns user_id, rfm) or campaigns (campaign, advertiser).")
    ] = "accounts",
    json: Json = False,
) -> None:
    """Replace a table by the rows of a file; requests see the old rows until all of the new ones are there."""
    from headgate.domains.adclicks.companions import lookup_tables

    if table not in lookup_tables.COLUMNS:
        raise UsageError(f"There is no table {table!r}: choose {' or '.join(lookup_tables.COLUMNS)}.")
    done = lookup_tables.replace(settings.load(), table, lookup_tables.read(file, table))
    answer(done, json, done.words)


@lookups_app.command("show")
def show(
    key: Annotated[str, typer.Argument(metavar="KEY", help="A user_id or a campaign.")],
    json: Json = False,
) -> None:
    """What is known of an account or a campaign."""
    from headgate.domains.adclicks.companions import lookup_tables

    found = lookup_tables.show(settings.load(), key)
    told = [f"account {key}: RFM {found['accounts']}"] if found["accounts"] is not None else []
    told += [f"campaign {key}: advertiser {found['campaigns']}"] if found["campaigns"] is not None else []
    answer(found, json, "\n".join(told) or f"Nothing is known of {key}.")
