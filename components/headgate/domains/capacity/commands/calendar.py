"""`headgate capacity calendar` and `headgate capacity mask`: planners list and change what the series cannot tell.

Both act on a source's local folder. Importing this module loads nothing but the command line.
"""

from datetime import UTC, datetime
from typing import Annotated

import typer

from headgate.domains.capacity.commands import calendar_options
from headgate.domains.capacity.commands.calendar_options import (
    At,
    Author,
    DryRun,
    EventId,
    In,
    Json,
    KnownSince,
    MaskId,
    Reason,
    Region,
    Services,
)
from headgate.errors import UsageError

calendar_app = typer.Typer(
    name="calendar",
    help="The calendar: sales, matches, holidays, launches, and who moved them when. Times are instants "
    "(2026-06-10T15:30Z) or each region's own (2026-11-27, 2026-11-27T18:00).",
    no_args_is_help=True,
)
mask_app = typer.Typer(
    name="mask",
    help="Masks: minutes of robots, outages, throttling or load tests, which are not learned from.",
    no_args_is_help=True,
)


@calendar_app.command("list", epilog="Example: headgate capacity calendar list --in data/shop --at 2026-05-01")
def list_events(
    in_: In,
    at: At = None,
    all_: Annotated[bool, typer.Option("--all", help="With those that are cancelled.")] = False,
    json: Json = False,
) -> None:
    """What is planned, as it was known at any instant."""
    from headgate.domains.capacity.companions.calendar import as_of, latest, read_calendar

    rows, known = read_calendar(calendar_options.folder(in_)), calendar_options.instant(at) or datetime.now(UTC)
    calendar_options.show_list(latest(rows, known) if all_ else as_of(rows, known), json)


@calendar_app.command(
    epilog="Example: headgate capacity calendar add summer-sale-2026 --in data/shop --kind sale --region in "
    "--service cart --service checkout --start 2026-06-10 --end 2026-06-11 --intensity 2"
)
def add(
    event: EventId,
    in_: In,
    kind: Annotated[str, typer.Option(help="Events of one kind share a shape: sale, match; `break` breaks the slope.")],
    start: Annotated[str, typer.Option(metavar="TIME", help="When it begins.")],
    end: Annotated[str | None, typer.Option(metavar="TIME", help="When it is over; a break needs none.")] = None,
    name: Annotated[str, typer.Option(help="For people.")] = "",
    region: Region = "*",
    service: Services = None,
    intensity: Annotated[
        float, typer.Option(help="How much of its kind's effect: matches a day, discount, reach.")
    ] = 1,
    reason: Reason = "",
    author: Author = None,
    known_since: KnownSince = None,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Plan an event."""
    from headgate.domains.capacity.companions import edit
    from headgate.domains.capacity.companions.calendar import BREAK

    if end is None and kind != BREAK:
        raise UsageError("Say when it is over: give --end; the end itself is no part of it.")
    pair = edit.add(
        calendar_options.folder(in_),
        event,
        calendar_options.signature(author, reason, known_since, dry_run),
        kind=kind,
        start=start,
        end=start if end is None else end,
        name=name,
        region=region,
        services=service or ["*"],
        intensity=intensity,
    )
    calendar_options.show_change(in_, pair, dry_run, json)


@calendar_app.command(
    epilog="Examples: headgate capacity calendar move diwali-2027 --in data/shop --start 2027-11-07 "
    "--reason 'as announced' · headgate capacity calendar move summer-sale-2026 --in data/shop "
    "--by -6h --reason 'earlier launch'"
)
def move(
    event: EventId,
    in_: In,
    reason: Reason,
    start: Annotated[str | None, typer.Option(metavar="TIME", help="When it begins now; its length stays.")] = None,
    by: Annotated[str | None, typer.Option(metavar="LENGTH", help="By how much: 3d, -6h, 90m, 2w.")] = None,
    author: Author = None,
    known_since: KnownSince = None,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Move an event; its length stays, and local times stay local."""
    from headgate.domains.capacity.companions import edit

    signed = calendar_options.signature(author, reason, known_since, dry_run)
    calendar_options.show_change(
        in_,
        edit.move(calendar_options.folder(in_), event, signed, start=start, delta=calendar_options.length(by)),
        dry_run,
        json,
    )


@calendar_app.command(
    epilog="Example: headgate capacity calendar stretch summer-sale-2026 --in data/shop --to 48h "
    "--reason 'two days this year'"
)
def stretch(
    event: EventId,
    in_: In,
    reason: Reason,
    end: Annotated[str | None, typer.Option(metavar="TIME", help="When it is over now.")] = None,
    to: Annotated[str | None, typer.Option(metavar="LENGTH", help="How long it lasts now: 48h, 3d, 90m.")] = None,
    author: Author = None,
    known_since: KnownSince = None,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Make an event longer or shorter; its start stays."""
    from headgate.domains.capacity.companions import edit

    signed = calendar_options.signature(author, reason, known_since, dry_run)
    calendar_options.show_change(
        in_,
        edit.stretch(calendar_options.folder(in_), event, signed, end=end, length=calendar_options.length(to)),
        dry_run,
        json,
    )


@calendar_app.command(
    epilog="Example: headgate capacity calendar cancel summer-sale-2026 --in data/shop --reason 'no stock'"
)
def cancel(
    event: EventId,
    in_: In,
    reason: Reason,
    author: Author = None,
    known_since: KnownSince = None,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Plan an event no longer. It stays in the history, and `add` plans it again."""
    from headgate.domains.capacity.companions import edit

    signed = calendar_options.signature(author, reason, known_since, dry_run)
    calendar_options.show_change(in_, edit.cancel(calendar_options.folder(in_), event, signed), dry_run, json)


@calendar_app.command(
    "add-holidays",
    epilog="Example: headgate capacity calendar add-holidays --in data/shop --country IN --year 2027 --region in",
)
def add_holidays(
    in_: In,
    country: Annotated[str, typer.Option(help="Its code, IN; or of a part of it, DE-BY.")],
    year: Annotated[int, typer.Option(help="Which year.")],
    region: Region = "*",
    service: Services = None,
    author: Author = None,
    known_since: KnownSince = None,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Add a country's public holidays as events. Those that were ever in the calendar stay as people left them."""
    from headgate.domains.capacity.companions.holidays import add_holidays as add_year

    signed = calendar_options.signature(author, "", known_since, dry_run)
    done = add_year(calendar_options.folder(in_), country, year, signed, region=region, services=service or ["*"])
    calendar_options.show_holidays(done, dry_run, json)


@calendar_app.command("history", epilog="Example: headgate capacity calendar history summer-sale-2026 --in data/shop")
def event_history(event: EventId, in_: In, json: Json = False) -> None:
    """Every revision of an event: who, when, why."""
    from headgate.domains.capacity.companions.calendar import read_calendar

    calendar_options.show_history(
        [row for row in read_calendar(calendar_options.folder(in_)) if row.event == event], event, json
    )


@mask_app.command("list", epilog="Example: headgate capacity mask list --in data/shop")
def list_masks(
    in_: In,
    at: At = None,
    all_: Annotated[bool, typer.Option("--all", help="With those that are withdrawn.")] = False,
    json: Json = False,
) -> None:
    """What is masked, as it was known at any instant."""
    from headgate.domains.capacity.companions.calendar import as_of, latest, read_masks

    rows, known = read_masks(calendar_options.folder(in_)), calendar_options.instant(at) or datetime.now(UTC)
    calendar_options.show_list(latest(rows, known) if all_ else as_of(rows, known), json)


@mask_app.command(
    "add",
    epilog="Example: headgate capacity mask add robots-2026-06-10 --in data/shop --effect robots --region in "
    "--start 2026-06-10T15:30Z --end 2026-06-10T18:00Z --reason 'scraper, ticket 4711'",
)
def add_mask(
    mask: MaskId,
    in_: In,
    effect: Annotated[
        str,
        typer.Option(
            help="robots, outage, load-test: not learned from; throttled: the load was at least this; "
            "keep: learned from, whatever the detector says."
        ),
    ],
    start: Annotated[str, typer.Option(metavar="TIME", help="When it begins.")],
    end: Annotated[str, typer.Option(metavar="TIME", help="When it is over.")],
    reason: Reason,
    region: Region = "*",
    service: Services = None,
    author: Author = None,
    known_since: KnownSince = None,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Mask minutes of some series."""
    from headgate.domains.capacity.companions import edit

    pair = edit.add_mask(
        calendar_options.folder(in_),
        mask,
        calendar_options.signature(author, reason, known_since, dry_run),
        effect=effect,
        start=start,
        end=end,
        region=region,
        services=service or ["*"],
    )
    calendar_options.show_change(in_, pair, dry_run, json)


@mask_app.command(
    "robots",
    epilog="Example: headgate capacity mask robots --in data/shop --from 2026-06-01 --to 2026-06-15 "
    "--region in --service home",
)
def mask_robots(
    in_: In,
    since: Annotated[
        str, typer.Option("--from", metavar="TIME", help="Long enough before the robots to show what is usual.")
    ],
    until: Annotated[str, typer.Option("--to", metavar="TIME", help="The end; it is not included.")],
    domain: Annotated[str | None, typer.Option(help="Whose decisions tell; adclicks', if left out.")] = None,
    least: Annotated[
        float, typer.Option(metavar="SHARE", help="Of the decisions, beyond what is usually decided against.")
    ] = 0.05,
    reason: Annotated[str, typer.Option(help="Why; it stands in the history.")] = "",
    region: Region = "*",
    service: Services = None,
    author: Author = None,
    known_since: KnownSince = None,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Mask the minutes in which far more than usual was decided against, as the log of decisions tells.

    Safe to repeat: what is found again stays, what is not found any more, since a replay gave it back, is withdrawn.
    Region and services are those whose load the clicks are part of.
    """
    from headgate import settings
    from headgate.domain import get_domain
    from headgate.domains.capacity.companions import robots

    other = get_domain(domain or get_domain("capacity").depends_on[0])
    first, end = calendar_options.instant(since), calendar_options.instant(until)
    assert first is not None
    assert end is not None
    robots.checked(first, end, least)
    signed = calendar_options.signature(author, reason, known_since, dry_run)
    source, services = calendar_options.folder(in_), tuple(service or ["*"])
    found = robots.blocks(robots.counted(settings.load(), other, first, end), least)
    pairs = robots.mask(source, found, (first, end), signed, domain=other.name, region=region, services=services)
    calendar_options.show_robots(found, pairs, dry_run, json)


@mask_app.command(
    epilog="Example: headgate capacity mask withdraw robots-2026-06-10 --in data/shop --reason 'real customers'"
)
def withdraw(
    mask: MaskId,
    in_: In,
    reason: Reason,
    author: Author = None,
    known_since: KnownSince = None,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Let a mask count no longer. It stays in the history, and `add` brings it back."""
    from headgate.domains.capacity.companions import edit

    signed = calendar_options.signature(author, reason, known_since, dry_run)
    calendar_options.show_change(in_, edit.withdraw(calendar_options.folder(in_), mask, signed), dry_run, json)


@mask_app.command("history", epilog="Example: headgate capacity mask history robots-2026-06-10 --in data/shop")
def mask_history(mask: MaskId, in_: In, json: Json = False) -> None:
    """Every revision of a mask: who, when, why."""
    from headgate.domains.capacity.companions.calendar import read_masks

    calendar_options.show_history(
        [row for row in read_masks(calendar_options.folder(in_)) if row.mask == mask], mask, json
    )
