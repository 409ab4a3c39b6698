"""`headgate capacity orders example | plan | show | place`: from a forecast to what is ordered for it."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headgate.commands.options import Json, Version, answer
from headgate.domains.capacity.commands.calendar_options import CalendarIn
from headgate.errors import Stopped, UsageError
from headgate.files import refuse_unwritable

if TYPE_CHECKING:
    from headgate.domains.capacity.orders.place import Report
    from headgate.domains.capacity.orders.plans import Plan

orders_app = typer.Typer(
    name="orders",
    help="Turn the forecast into orders: a fleet plan that survives the loss of a zone, its cost, and placing it. "
    "Begin with `example`; docs/orders.md explains the fleet file and the plan.",
    no_args_is_help=True,
)

PlanFile = Annotated[
    Path | None, typer.Option("--plan", metavar="FILE", help="A plan; the newest in the state folder if left out.")
]

#: How many orders, and services that lack more than so much of their need, are listed by name.
LISTED, MUCH = 12, 0.05


@orders_app.command(epilog="Example: headgate capacity orders example --out fleet.yaml")
def example(
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="The fleet file to write.")],
    version: Version = "champion",
) -> None:
    """Write a fleet file to begin with, for every series of a version: prices and sizes are examples to replace."""
    from headgate.domains.capacity.orders.planning import example_fleet
    from headgate.files import atomic_file

    refuse_unwritable(out)
    if out.exists():
        raise UsageError(f"{out} is there already: name another file, or remove it first.")
    _, _, forecaster = _load(version)
    with atomic_file(out) as draft:
        draft.write_text(example_fleet(forecaster), encoding="utf-8")
    typer.echo(f"{out} is a fleet for {len(forecaster.series)} series. Put your prices, sizes and limits into it.")


@orders_app.command(
    epilog="Example: headgate capacity orders plan --fleet fleet.yaml --weeks 13 --out plan.json --picture plan.png"
)
def plan(
    fleet: Annotated[Path, typer.Option(metavar="FILE", help="Types, prices, services and limits, as YAML.")],
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="The file to write; one in orders/ of the state if left out."),
    ] = None,
    weeks: Annotated[int, typer.Option(min=1, max=104, help="How many weeks.")] = 13,
    start: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="The first day; the Monday after the forecast's as-of if left out."),
    ] = None,
    last: Annotated[
        Path | None,
        typer.Option("--last", metavar="FILE", help="An earlier plan, to say what changed; the newest if left out."),
    ] = None,
    calendar: CalendarIn = None,
    version: Version = "champion",
    gap: Annotated[float, typer.Option(min=0.0001, max=0.5, help="How much dearer than the best it may be.")] = 0.01,
    seconds: Annotated[float, typer.Option(min=1, help="About how long to look for it.")] = 30.0,
    picture: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A .png, .svg or .pdf with capacity against demand, and the cost."),
    ] = None,
    json: Json = False,
) -> None:
    """Make the cheapest plan that keeps every floor when a zone is lost. Orders nothing."""
    from headgate import settings
    from headgate.domains.capacity.commands.forecast import calendar_of
    from headgate.domains.capacity.orders import plans
    from headgate.domains.capacity.orders.fleet import read
    from headgate.domains.capacity.orders.planning import By, keep_plan, plan_fleet

    if out is not None:
        refuse_unwritable(out)
    if picture is not None:
        refuse_unwritable(picture, ".png", ".svg", ".pdf")
    here, told = settings.load(), read(fleet)
    earlier = plans.read(last) if last else plans.latest(here.home)
    by, first = By(*_load(version), calendar_of(calendar)), start.date() if start else None
    made = plan_fleet(here, by, told, weeks=weeks, start=first, last=earlier, gap=gap, seconds=seconds)
    if out is None:
        out = keep_plan(here, made)
    else:
        plans.write(made, out)
    if picture is not None:
        from headgate.domains.capacity.orders.picture import draw

        draw(made, picture)
    _answer(
        made,
        json,
        "\n".join([_summary(made), *_but(made, gap)])
        + f"\nThe plan is in {out}. `headgate capacity orders place --plan {out}` shows its orders.",
    )


@orders_app.command(epilog="Example: headgate capacity orders show --plan plan.json")
def show(plan: PlanFile = None, json: Json = False) -> None:
    """What a plan costs, what each constraint costs, what changed, and the headroom that is in it."""
    made = _read(plan)
    _answer(made, json, f"{_summary(made)}\n{_headroom(made)}")


@orders_app.command(
    epilog="Example: headgate capacity orders place --plan plan.json, and once it is right the same with --place"
)
def place(
    plan: PlanFile = None,
    place: Annotated[bool, typer.Option("--place", help="Order. Without it nothing is ordered.")] = False,
    ask: Annotated[bool, typer.Option(help="Without --place: ask EC2, by DryRun, whether it would be let to.")] = True,
    deadline: Annotated[
        float,
        typer.Option(
            min=1, help="Seconds after which it stops, to be run again; a call that AWS does not answer takes a minute."
        ),
    ] = 600.0,
    json: Json = False,
) -> None:
    """Show what a plan would order; with --place, order it, each line once however often this is run.

    A run that is killed or meets an error goes on where it stopped when it is run again.
    """
    from headgate import settings
    from headgate.domains.capacity.orders import place as placing
    from headgate.domains.capacity.orders.placed import read_placed
    from headgate.registry.ledger import Ledger

    made, ledger = _read(plan), Ledger(settings.load())
    if place:
        lines: list[placing.Line] = []
        try:
            report = placing.place(ledger, made, deadline=deadline, told=lines.append)
        except BaseException as stop:  # whatever it was, what was done is said first
            if lines:
                report = placing.Report(made.id, tuple(lines), len(made.orders) - len(lines))
                answer(_plain(report), json, _told(report, place))
            if isinstance(stop, KeyboardInterrupt):
                raise Stopped("Stopped: run the same command again, it goes on from here.") from None
            raise
    else:
        report = placing.show(made, read_placed(ledger.entries("capacity")), datetime.now(UTC), ask)
    answer(_plain(report), json, _told(report, place))
    if report.refused:
        raise typer.Exit(1)


def _read(file: Path | None) -> "Plan":
    """The plan in `file`, or the newest."""
    from headgate import settings
    from headgate.domains.capacity.orders import plans

    home = settings.load().home
    found = file or plans.newest(home)
    if found is None:
        raise UsageError(f"There is no plan in {home / plans.FOLDER}: `headgate capacity orders plan` makes one.")
    return plans.read(found)


def _load(wanted: str) -> tuple[int, str, Any]:
    """A version's number, bundle and forecaster."""
    from headgate import settings
    from headgate.domains.capacity.model.forecaster import Forecaster
    from headgate.registry import versions

    here = settings.load()
    version = versions.wanted(here, "capacity", wanted)
    return version.number, version.bundle, Forecaster(versions.fetch(version, here))


def _summary(made: "Plan") -> str:
    from headgate.domains.capacity.orders.plans import number

    cost, last = made.cost, made.weeks[-1]
    kinds = sorted(cost.by_type.items(), key=lambda one: -one[1])
    lines = [
        f"Plan {made.id}, {number(len(made.weeks), 'week')} from {made.weeks[0]}, by version {made.forecast.version} "
        f"({made.forecast.ruling}): {made.money}, at most {100 * made.gap:.2g} % above the best.",
        f"  on demand {cost.on_demand:,.0f}, reserved {cost.reserved:,.0f}, after {last} {cost.after:,.0f}, "
        f"for what is missing {cost.missing:,.0f}",
        "  by type: " + ", ".join(f"{name} {value:,.0f}" for name, value in kinds if value),
        "  by zone: " + ", ".join(f"{name} {value:,.0f}" for name, value in cost.by_zone.items()),
        "  by week: " + ", ".join(f"{value:,.0f}" for value in cost.by_week),
        f"  {sum(o.kind == 'reservation' for o in made.orders):,} reservations and "
        f"{sum(o.kind == 'schedule' for o in made.orders):,} sizes of groups to order; {_counted(made)}.",
        *_missing(made),
    ]
    if made.prices:
        lines += ["What constraints cost, each by itself and without rounding:", *(f"  {p.words}" for p in made.prices)]
    if made.changed:
        lines += ["Since the last plan:", *(f"  {one}" for one in made.changed)]
    if not made.forecast.certified:
        lines.append("It reaches further ahead than any origin could test: beyond, the scenarios widen with √horizon.")
    return "\n".join(lines)


def _counted(made: "Plan") -> str:
    """What was counted through: a service without a floor may lose everything with a zone."""
    kept = sum(any(row.floor) for row in made.services)
    if not kept:
        return "no service has a floor, so the loss of a zone was not looked at"
    some, rest = (f" of {len(made.services)}", ", the others have no floor") if kept < len(made.services) else ("", "")
    return f"the loss of any zone was counted through for {kept}{some} services and every week{rest}"


def _missing(made: "Plan") -> list[str]:
    """What is missing at the weeks' peaks, in units, and which services lack much."""
    if sum(missing := [sum(row.missing) for row in made.services]) < 1:
        return []
    need = [sum(row.median) for row in made.services]
    share = {row.service: lack / max(of, 1e-9) for row, lack, of in zip(made.services, missing, need, strict=True)}
    most = sorted((name for name in share if share[name] > MUCH), key=lambda name: -share[name])
    much = [f"{name} {100 * share[name]:.0f} %" for name in most[:LISTED]]
    more = [f"{len(most) - LISTED:,} more"] * (len(most) > LISTED)
    return [
        f"  missing at the weeks' peaks: {sum(missing):,.0f} units of a median need of {sum(need):,.0f}"
        + (f" ({', '.join([*much, *more])})" if much else "")
        + f", for {made.cost.missing:,.0f} {made.currency}"
    ]


def _but(made: "Plan", gap: float) -> list[str]:
    """What is not as it was asked for, or cannot be ordered any more."""
    found = []
    if made.gap > gap:
        found.append(
            f"{100 * gap:.2g} % was asked for, and time was over before: more --seconds may find a better one, "
            "but a fleet of few instances in whole lots keeps a wider gap."
        )
    today = datetime.now(UTC).date()
    if over := sum(week <= today for week in made.weeks):
        found.append(
            f"{over} of its weeks have begun, and nothing is ordered for those: retrain, or name a later --start."
        )
    return found


def _headroom(made: "Plan") -> str:
    lines = ["Headroom, each applied once:"]
    for row in made.services:
        parts = [
            f"{one.name} {'' if one.carried == 'scenarios' else '× '}{one.value:.3g}"
            + ("" if one.carried == "factor" else f" (by {one.carried})")
            for one in row.headroom
            if one.name != "zone loss" or any(row.floor)
        ]
        lines.append(f"  {row.service}: {', '.join(parts)}")
        lines += [f"    units by {row.units_from}"] if row.units_from else []
    return "\n".join(lines)


def _told(report: "Report", placing: bool) -> str:
    from headgate.domains.capacity.orders.place import words

    counts = {name: report.count(name) for name in ("placed", "would", "already", "refused")}
    lines = [f"  {words(line.order)}" for line in report.lines if line.outcome in ("placed", "would")]
    more = [f"  … and {len(lines) - LISTED:,} more"] if len(lines) > LISTED else []
    late = sum(line.late for line in report.refused)
    refused = [f"  {words(line.order)}: {line.words}." for line in report.refused if not line.late]
    refused += [f"  {late:,} lines are of weeks that have begun: set those sizes by hand, or plan again."] * (late > 0)
    head = ", ".join(f"{counts[name]:,} {name}" for name in ("placed", "already", "refused"))
    head = f"Plan {report.plan}: {head}{f', {report.open:,} open' if report.open else ''}."
    if not placing:
        head = (
            f"Plan {report.plan} would order {counts['would']:,} lines; {counts['already']:,} are ordered already, "
            f"{counts['refused']:,} would be refused. Nothing was ordered: --place does."
        )
    return "\n".join([head, *lines[:LISTED], *more, *(["Refused:"] if refused else []), *refused])


def _plain(report: "Report") -> dict[str, Any]:
    import msgspec

    lines = [
        {"outcome": line.outcome, "words": line.words, "reference": line.reference, **msgspec.to_builtins(line.order)}
        for line in report.lines
    ]
    return {"plan": report.plan, "lines": lines, "refused": len(report.refused), "open": report.open}


def _answer(made: "Plan", json: bool, words: str) -> None:
    import msgspec

    answer(msgspec.to_builtins(made), json, words)
