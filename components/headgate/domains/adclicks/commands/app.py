"""`headgate adclicks …`: the list of commands that only this domain has."""

import typer

from headgate.domains.adclicks.commands.features import features
from headgate.domains.adclicks.commands.lookups import lookups_app


def commands() -> typer.Typer:
    """All of them."""
    app = typer.Typer(help="What only adclicks has.", no_args_is_help=True, rich_markup_mode="rich")
    app.command()(features)
    app.add_typer(lookups_app)
    return app
