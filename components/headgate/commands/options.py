"""Options and answers that commands share."""

import json
from collections.abc import Sequence
from dataclasses import asdict, is_dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from headgate.errors import UsageError

DomainName = Annotated[str, typer.Argument(metavar="DOMAIN", help="Which domain, for example adclicks.")]
Json = Annotated[bool, typer.Option("--json", help="Answer in JSON, for programs.")]
Out = Annotated[Path, typer.Option("--out", metavar="PATH", help="Where to write.")]


def instant(text: str | None) -> datetime | None:
    """An instant from a date or a time; without a zone it is UTC. Raises UsageError for anything else."""
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{text!r} is no date or time: write 2026-01-22 or 2026-01-22T06:00:00+00:00.") from None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found


def answer(value: Any, as_json: bool, words: str) -> None:
    """Print `words` for people, or `value` for programs: a dataclass, or plain values."""
    if not as_json:
        typer.echo(words)
        return
    plain = asdict(value) if is_dataclass(value) and not isinstance(value, type) else value
    if isinstance(value, Sequence):
        plain = [asdict(one) if is_dataclass(one) and not isinstance(one, type) else one for one in value]
    typer.echo(json.dumps(plain, indent=2, default=str))
