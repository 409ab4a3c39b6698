"""What a shell is offered to complete: domains, and the versions and aliases of one. Silent where nothing is known."""

import os
from contextlib import suppress

import typer

from headgate.domains import NAMES

#: The shell asks by this variable; nothing is run then.
ASKED = "_HEADGATE_COMPLETE"


def completing() -> bool:
    """Whether this process only tells a shell how a command may go on."""
    return ASKED in os.environ


def domain_names(incomplete: str) -> list[str]:
    """The domains that begin so."""
    return [name for name in NAMES if name.startswith(incomplete)]


def scope_names(incomplete: str) -> list[str]:
    """The scopes that begin so."""
    from headgate.domain import get_domain, known_scopes

    return [name for name in known_scopes(map(get_domain, NAMES)) if name.startswith(incomplete)]


def version_names(ctx: typer.Context, incomplete: str) -> list[str]:
    """Aliases and numbers of the domain that stands before it on the line, newest first."""
    from headgate import settings
    from headgate.registry.version_names import list_names

    # An option that still lacks its value leaves the arguments before it unparsed.
    names = [ctx.params.get("domain"), *ctx.args, *ctx.command_path.split()]
    domain = next((name for name in names if name in NAMES), None)
    with suppress(Exception):  # a line that is being typed is no place for errors
        if domain:
            return [name for name in list_names(settings.load(), domain) if name.startswith(incomplete)]
    return []
