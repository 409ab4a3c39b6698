"""`headgate simulate DOMAIN` and `headgate import DOMAIN`: raw files, drawn with a hidden truth, or foreign ones."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import MISSING, fields
from datetime import datetime
from inspect import Parameter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headgate.commands.groups import for_every_domain, with_options
from headgate.commands.options import Json, Out, answer, pairs
from headgate.errors import UsageError

if TYPE_CHECKING:
    from headgate.domain import Domain


def _simulate(domain: "Domain") -> Callable[..., None]:
    known = domain.scenarios.items()

    def run(
        out: Out,
        scenario: Annotated[str, typer.Option(help="What happens.")] = "calm",
        seed: Annotated[int, typer.Option(help="The same seed makes the same files.")] = 0,
        start: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="The first day.")] = None,
        **given: int,
    ) -> None:
        if scenario not in domain.scenarios:
            listed = [f"  {name:<14} {what}" for name, what in known]
            raise UsageError("\n".join([f"There is no scenario {scenario!r}. Choose one of:", *listed]))
        sizes = type(domain.demo)(**given)
        with _progress(f"simulating {domain.name}", sizes.days) as advance:
            first = start.date() if start else None
            domain.simulate(out, sizes, scenario=scenario, seed=seed, start=first, on_day=lambda day: advance())
        length = "1 day of" if sizes.days == 1 else f"{sizes.days} days of"
        typer.echo(f"{out} holds {length} {domain.name} ({scenario}), and {out}.truth their hidden truth.")

    words = ["Simulate raw data with a hidden truth, which is kept apart in OUT.truth.", "", "Scenarios:", ""]
    words += [f"- `{name}`: {what}" for name, what in known]
    return with_options(run, _options(domain), "\n".join(words))


def _options(domain: "Domain") -> Iterator[Parameter]:
    """The sizes of `domain` as options."""
    for one in fields(domain.demo):
        shown = typer.Option(min=one.metadata["least"], help=one.metadata["help"])
        default = Parameter.empty if one.default is MISSING else one.default
        yield Parameter(one.name, Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[int, shown])


def _import(domain: "Domain") -> Callable[..., None]:
    listed = "; ".join(f"{name}: {what}" for name, what in domain.formats.items()) or "It has none of its own"
    first = next(iter(domain.formats), "")

    def run(
        file: Annotated[str, typer.Argument(metavar="FILE", help="What to bring in: a file, or what its format says.")],
        out: Out,
        format: Annotated[str, typer.Option("--format", help=f"{listed}.")] = first,
        map: Annotated[
            list[str] | None,
            typer.Option("--map", metavar="COLUMN=HEADER", help="Our column, and its name in the file."),
        ] = None,
        tz: Annotated[str | None, typer.Option(help="Zone of times that name none, for example Europe/Vienna.")] = None,
        facts: Annotated[
            list[str] | None,
            typer.Option("--set", metavar="NAME=VALUE", help="What the file does not say, for example region=eu."),
        ] = None,
        json: Json = False,
    ) -> None:
        if domain.import_data is None:
            raise UsageError(f"{domain.name} takes no foreign files: bring files of its own schema as --source.")
        mapping, told = pairs(map, "NAME=VALUE", "--map user_id=visitor"), pairs(facts, "NAME=VALUE", "--set region=eu")
        report = domain.import_data(file, out, format=format, mapping=mapping, tz=tz, facts=told)
        answer(report, json, report.words(out))

    return with_options(run, [], "Turn a foreign file into the raw schema.")


@contextmanager
def _progress(title: str, total: int) -> Iterator[Callable[[], Any]]:
    """A progress bar for people, nothing for pipes."""
    if not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task(title, total=total)
        yield lambda: progress.advance(task)


simulate = for_every_domain("simulate", _simulate, "Simulate raw data with a hidden truth, kept apart in OUT.truth.")
import_ = for_every_domain("import", _import, "Turn a foreign file into the raw schema.")
