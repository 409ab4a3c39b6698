"""Commands that are made when they are asked for, because a domain says how they look."""

from collections.abc import Callable, Iterable
from functools import cached_property
from inspect import Parameter, Signature
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperGroup

from headgate.domains import NAMES
from headgate.errors import UsageError

if TYPE_CHECKING:
    from headgate.domain import Domain


class OwnCommands(TyperGroup):
    """`headgate DOMAIN …`: the commands that only one domain has; it is named as the domain."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Their names."""
        return self._own.list_commands(ctx)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """One of them; None where there is none of that name."""
        return self._own.get_command(ctx, cmd_name)

    @cached_property
    def _own(self) -> TyperGroup:
        from headgate.domain import get_domain

        bring = get_domain(str(self.name)).commands
        if bring is None:
            raise UsageError(f"{self.name} has no commands of its own: `headgate --help` shows those of every domain.")
        return typer.main.get_group(bring())


class EveryDomain(TyperGroup):
    """`headgate VERB DOMAIN` with options of that domain."""

    #: Makes the function that runs, of a domain; its signature holds the options.
    make: Callable[["Domain"], Callable[..., None]]

    def list_commands(self, ctx: Any) -> list[str]:
        """The domains."""
        return list(NAMES)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The verb for one domain. UsageError where there is no such domain."""
        from headgate.domain import get_domain

        app = typer.Typer(add_completion=False, rich_markup_mode="markdown")
        app.command(cmd_name)(type(self).make(get_domain(cmd_name)))
        return typer.main.get_command(app)


def for_every_domain(verb: str, make: Callable[["Domain"], Callable[..., None]], words: str) -> typer.Typer:
    """The group `headgate VERB DOMAIN`, whose commands `make` makes."""
    group = type(verb.title(), (EveryDomain,), {"make": staticmethod(make)})
    return typer.Typer(cls=group, help=words, no_args_is_help=True, subcommand_metavar="DOMAIN [OPTIONS]")


def with_options(run: Callable[..., None], options: Iterable[Parameter], words: str) -> Callable[..., None]:
    """`run`, which takes `options` beside its own parameters by keyword; `words` are its help."""

    def command(*given: Any, **named: Any) -> None:
        run(*given, **named)

    own = Signature.from_callable(run).parameters.values()
    shown = [one for one in own if one.kind is not Parameter.VAR_KEYWORD]
    together = [*shown, *options]
    command.__signature__ = Signature(together)  # type: ignore[attr-defined]
    command.__annotations__ = {one.name: one.annotation for one in together}
    command.__doc__ = words
    return command
