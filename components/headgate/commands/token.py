"""`headgate token`: the bearer tokens that open the endpoints."""

from typing import Annotated

import typer

from headgate import settings
from headgate.commands.completion import scope_names
from headgate.commands.options import Json, answer

token_app = typer.Typer(help="The tokens that open the endpoints.", no_args_is_help=True)

TokenName = Annotated[str, typer.Argument(metavar="NAME", help="Who or what shows it, for example shop-frontend.")]


@token_app.command("add")
def add(
    name: TokenName,
    scope: Annotated[
        list[str],
        typer.Option(
            "--scope",
            help="decide, read, operate, or a domain's; may be given several times.",
            autocompletion=scope_names,
        ),
    ],
    json: Json = False,
) -> None:
    """Make a token and print it, this once: only its hash is kept."""
    from headgate.access import tokens
    from headgate.data.datasets import exclusively
    from headgate.domain import NAMES, get_domain, known_scopes

    here, known = settings.load(), known_scopes(map(get_domain, NAMES))
    with exclusively(here, "tokens", wait=5):
        token = tokens.add(here.tokens_file, name, scope, known)
    answer({"name": name, "scopes": sorted(set(scope)), "token": token}, json, token)


@token_app.command("list")
def list_(json: Json = False) -> None:
    """Who has a token, for what, and since when."""
    from headgate.access import tokens

    found = tokens.read(settings.load().tokens_file)
    rows = [{"name": one.name, "scopes": one.scopes, "created": one.created.isoformat()} for one in found]
    lines = [f"{one.name:<24} {' '.join(one.scopes):<20} since {one.created:%Y-%m-%d %H:%M} UTC" for one in found]
    answer({"tokens": rows}, json, "\n".join(lines) or "There is no token: `headgate token add NAME --scope decide`.")


@token_app.command("remove")
def remove(name: TokenName) -> None:
    """Take a token away; running servers refuse it a second later."""
    from headgate.access import tokens
    from headgate.data.datasets import exclusively

    here = settings.load()
    with exclusively(here, "tokens", wait=5):
        tokens.remove(here.tokens_file, name)
        last = not tokens.read(here.tokens_file)
    typer.echo(f"The token {name} opens nothing any more.")
    if last:
        typer.secho(
            "It was the last. Servers that are up let nobody in until there is another; one that is started on this "
            "machine's own address without any lets everybody in.",
            fg="yellow",
            err=True,
        )
