"""The options that the commands of the calendar and the masks share, what they mean, and how the commands answer."""

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headgate.errors import DataRefused, UsageError

if TYPE_CHECKING:
    from headgate.domains.capacity.companions.calendar import Event, Mask
    from headgate.domains.capacity.companions.edit import Signature
    from headgate.domains.capacity.companions.holidays import Added
    from headgate.domains.capacity.companions.robots import Block

In = Annotated[str, typer.Option("--in", metavar="DIR", help="The source's folder, where series.csv lies.")]
At = Annotated[str | None, typer.Option("--at", metavar="TIME", help="As it was known then; now if left out.")]
EventId = Annotated[str, typer.Argument(metavar="EVENT", help="Its id, such as summer-sale-2026.")]
MaskId = Annotated[str, typer.Argument(metavar="MASK", help="Its id, such as robots-2026-06-10.")]
Region = Annotated[str, typer.Option(help="One region; * is all.")]
Services = Annotated[list[str] | None, typer.Option("--service", help="A service; again for more. All if left out.")]
Reason = Annotated[str, typer.Option(help="Why; it stands in the history.")]
Author = Annotated[str | None, typer.Option(help="Who; the login name if left out.")]
KnownSince = Annotated[
    str | None,
    typer.Option(metavar="TIME", help="Since when this is known, if not now; a back-test sees it from then."),
]
CalendarIn = Annotated[
    Path | None,
    typer.Option(
        "--calendar",
        metavar="DIR",
        help="The folder of the calendar.csv that counts; the one in force if left out, else the version's own.",
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would change, and write nothing.")]
Json = Annotated[bool, typer.Option("--json", help="Answer in JSON, for programs.")]


def folder(source: str) -> Path:
    """The folder that `--in` names. Raises UsageError where it is none, or is elsewhere."""
    if "://" in source:
        raise UsageError(
            f"The calendar is edited in a local folder, and {source} is none: copy calendar.csv, masks.csv and "
            "series.csv from there, change them here, and copy them back."
        )
    if not Path(source).is_dir():
        raise UsageError(f"There is no folder {source}: check --in.")
    return Path(source)


def instant(text: str | None) -> datetime | None:
    """An instant from a date or a time; without a zone it is UTC, as everywhere on the command line."""
    from headgate.domains.capacity.companions.local_time import parse

    if text is None:
        return None
    try:
        found = parse(text)
    except ValueError:
        raise UsageError(f"{text!r} is no date or time: write 2026-01-22 or 2026-01-22T06:00:00+00:00.") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def length(text: str | None) -> timedelta | None:
    """A length as 48h, 3d or -90m. Raises UsageError."""
    from headgate.domains.capacity.companions.local_time import parse_length

    try:
        return None if text is None else parse_length(text)
    except ValueError as error:
        raise UsageError(f"{error}.") from None


def signature(author: str | None, reason: str, known_since: str | None, dry_run: bool) -> "Signature":
    """Who makes a change: `author`, or the login name."""
    import getpass

    from headgate.domains.capacity.companions.edit import Signature

    if author is None:
        try:
            author = getpass.getuser()
        except (KeyError, ImportError, OSError):  # a container's user without a name
            raise UsageError("Your login has no name here: say who you are with --author.") from None
    return Signature(author, reason, instant(known_since), dry_run)


def show_list(rows: Sequence["Event | Mask"], as_json: bool) -> None:
    """One line a row."""
    from headgate.domains.capacity.companions.words import listing, values

    if as_json:
        _json([values(row) for row in rows])
    else:
        typer.echo(listing(rows))


def show_history(rows: Sequence["Event | Mask"], name: str, as_json: bool) -> None:
    """One line a revision of one id. Raises UsageError where it has none."""
    from headgate.domains.capacity.companions.words import history, values

    if not rows:
        raise UsageError(f"There is no {name!r}: `list --all` shows what there is.")
    told = sorted(rows, key=lambda row: row.revision)
    if as_json:
        _json([values(row) for row in told])
    else:
        typer.echo(f"{name}\n{history(told)}")


def show_change(source: str, pair: "tuple[Event | Mask | None, Event | Mask]", dry_run: bool, as_json: bool) -> None:
    """A change before and after, and what to know of it."""
    from headgate.domains.capacity.companions.words import change, values
    from headgate.domains.capacity.serving.advice import advise, series_of

    before, after = pair
    changed, names = after is not before, list[str]()
    try:
        names = [name for name, one in series_of(Path(source)).items() if after.applies(one.region, one.service)]
        notes = advise(Path(source), before, after, datetime.now(UTC)) if changed else []
    except DataRefused as error:  # series.csv is not right, and the change is made all the same
        notes = [str(error)]
    if as_json:
        written = {"series": names, "warnings": notes, "written": changed and not dry_run}
        _json({"before": values(before) if before else None, "after": values(after)} | written)
        return
    typer.echo(change(before, after, names))
    typer.echo(_written(dry_run) if changed else "Nothing changes.")
    _warn(notes)


def show_robots(
    found: "Sequence[Block]",
    pairs: "Sequence[tuple[Event | Mask | None, Event | Mask]]",
    dry_run: bool,
    as_json: bool,
) -> None:
    """The blocks that were found, and the masks that changed."""
    from headgate.domains.capacity.companions.words import listing, values

    if as_json:
        told = [
            {"start": f"{one.start:%Y-%m-%dT%H:%MZ}", "end": f"{one.end:%Y-%m-%dT%H:%MZ}"}
            | {"decisions": one.decisions, "share": round(one.share, 4)}
            for one in found
        ]
        _json({"blocks": told, "changed": [values(after) for _, after in pairs], "written": not dry_run})
        return
    for one in found:
        typer.echo(
            f"{one.start:%Y-%m-%d %H:%M} to {one.end:%Y-%m-%d %H:%M} UTC: {one.share:.0%} of {one.decisions:,} "
            "decisions were against, beyond what is usual."
        )
    if not found:
        typer.echo("There is no block of minutes with more robots than usual.")
    if pairs:
        typer.echo(listing([after for _, after in pairs]))
    typer.echo(_written(dry_run) if pairs else "Nothing changes.")


def show_holidays(done: "Added", dry_run: bool, as_json: bool) -> None:
    """What adding a year's holidays did."""
    from headgate.domains.capacity.companions.words import listing, values

    if as_json:
        rows = {title: [values(row) for row in found] for title, found in (("added", done.added), ("kept", done.kept))}
        _json(rows | {"warnings": done.differing, "written": bool(done.added) and not dry_run})
        return
    if done.added:
        typer.echo(listing(done.added))
    told = _written(dry_run) if done.added else "Nothing changes."
    typer.echo(f"{len(done.added)} holidays are new, {len(done.kept)} were there and stay. {told}")
    _warn(done.differing)


def _written(dry_run: bool) -> str:
    return "Nothing was written (--dry-run)." if dry_run else "Written."


def _json(value: Any) -> None:
    typer.echo(json.dumps(value, indent=2))


def _warn(notes: Iterable[str]) -> None:
    for note in notes:
        typer.secho(f"Note: {note}", fg="yellow", err=True)
