"""`headgate capacity …`: the list of commands that only this domain has."""

import typer

from headgate.domains.capacity.commands import forecast
from headgate.domains.capacity.commands.calendar import calendar_app, mask_app
from headgate.domains.capacity.commands.gameday import gameday
from headgate.domains.capacity.commands.orders import orders_app


def commands() -> typer.Typer:
    """All of them."""
    app = typer.Typer(help="What only capacity has.", no_args_is_help=True, rich_markup_mode="rich")
    for command in (forecast.forecast, forecast.explain, forecast.whatif, forecast.track, forecast.headroom, gameday):
        app.command()(command)
    for group in (calendar_app, mask_app, orders_app):
        app.add_typer(group)
    return app
