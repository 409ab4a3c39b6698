"""Options and answers that commands share."""

import json
from collections.abc import Sequence
from dataclasses import asdict, is_dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headgate.commands.completion import completing, domain_names, version_names
from headgate.errors import UsageError

if TYPE_CHECKING:
    from headgate.domain import Domain
else:
    Domain = Any  # a domain's value loads polars, which no command needs to tell its options


def one_domain(name: str) -> Any:
    """The domain called `name`; for a shell that completes a line, the name is enough. UsageError if there is none."""
    if completing():
        return name
    from headgate.domain import get_domain

    return get_domain(name)


_ONE: dict[str, Any] = {"metavar": "DOMAIN", "parser": one_domain, "autocompletion": domain_names}

DomainArgument = Annotated[Domain, typer.Argument(**_ONE, help="Which domain.")]
Domains = Annotated[list[Domain], typer.Argument(**_ONE | {"metavar": "DOMAIN…"}, help="One or more domains.")]
AllDomains = Annotated[
    list[Domain] | None, typer.Argument(**_ONE | {"metavar": "[DOMAIN…]"}, help="Which; all, if left out.")
]
Version = Annotated[str, typer.Option(help="A number, or an alias such as champion.", autocompletion=version_names)]
Json = Annotated[bool, typer.Option("--json", help="Answer in JSON, for programs.")]
Out = Annotated[Path, typer.Option("--out", metavar="PATH", help="Where to write.")]


def every_domain() -> list["Domain"]:
    """Every domain there is."""
    from headgate.domain import get_domain
    from headgate.domains import NAMES

    return [get_domain(name) for name in NAMES]


def instant(text: str | None) -> datetime | None:
    """An instant from a date or a time; without a zone it is UTC. Raises UsageError for anything else."""
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{text!r} is no date or time: write 2026-01-22 or 2026-01-22T06:00:00+00:00.") from None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found


def pairs(items: Sequence[str] | None, form: str, example: str) -> dict[str, str]:
    """What an option such as `--set region=eu` gave in the form NAME=VALUE. Raises UsageError for what is no pair."""
    found = {}
    for item in items or []:
        name, equals, value = item.partition("=")
        if not (name and equals and value):
            raise UsageError(f"{example.split()[0]} {item} is not {form}, for example {example}.")
        found[name] = value
    return found


def answer(value: Any, as_json: bool, words: str) -> None:
    """Print `words` for people, or `value` for programs: a dataclass, or plain values."""
    if not as_json:
        typer.echo(words)
        return
    plain = asdict(value) if is_dataclass(value) and not isinstance(value, type) else value
    if isinstance(value, Sequence):
        plain = [asdict(one) if is_dataclass(one) and not isinstance(one, type) else one for one in value]
    typer.echo(json.dumps(plain, indent=2, default=str))
