"""Place a plan's orders with EC2 and Auto Scaling, each exactly once, however often it is asked and wherever it died.

Before a call the ledger is told that a line is being ordered, after it what came of it. A line without an answer is
asked about first (a reservation carries its line as a tag) and then ordered again with the same `ClientToken`, which
makes EC2 answer with the reservation that is there. A scheduled action is known by its name: writing it again writes
the same. Lines that are refused are told in words, and do not keep the others from being placed. A line of which AWS
does not say what came stays in doubt in the ledger.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from headgate.domains.capacity.orders.aws import Refused, Unsettled, dry_run, reserve, resize
from headgate.domains.capacity.orders.placed import ORDERED, ORDERING, REFUSED, Placed, read_placed
from headgate.domains.capacity.orders.plans import Order, Plan, number
from headgate.errors import HeadgateError, UsageError
from headgate.registry.ledger import Entry, Ledger, me

#: How far ahead EC2 takes a future-dated reservation, and the fewest vCPUs of one.
SOONEST, LATEST, LEAST_VCPUS = timedelta(days=5), timedelta(days=120), 32

DOMAIN, LEASE = "capacity", "orders/capacity"


@dataclass(frozen=True)
class Line:
    """What became of an order: placed, already placed, would be placed, or refused with a reason."""

    order: Order
    outcome: str
    words: str = ""
    reference: str = ""
    settled: bool = True  # whether AWS said what came of it; if not, the next run asks
    late: bool = False  # whether its week had begun


@dataclass(frozen=True)
class Report:
    """What became of a plan."""

    plan: str
    lines: tuple[Line, ...]
    open: int = 0  # orders that it did not come to, of which the last begun may be in doubt

    @property
    def refused(self) -> tuple[Line, ...]:
        """The lines that were not placed."""
        return tuple(line for line in self.lines if line.outcome == "refused")

    def count(self, outcome: str) -> int:
        """How many lines ended so."""
        return sum(line.outcome == outcome for line in self.lines)


def refuse_outdated(plan: Plan, known: Placed) -> None:
    """Raise UsageError where another plan was placed after this one was made: it does not know of those orders."""
    if known.newest > plan.after and known.plan != plan.id:
        raise UsageError(
            f"Plan {known.plan} was placed after plan {plan.id} was made, which does not know of it: plan again."
        )


def too_soon_or_late(order: Order, now: datetime) -> str:
    """Why an order cannot be placed at this instant; empty where it can."""
    start = _start(order)
    if order.kind == "schedule":
        return "" if start > now else f"its week began on {order.start}: set the size of {order.group} by hand"
    if order.vcpus < LEAST_VCPUS:
        return f"EC2 reserves {LEAST_VCPUS} vCPUs ahead at least, and this has {order.vcpus}: take a larger lot"
    if start < now + SOONEST:
        return f"EC2 reserves {SOONEST.days} days ahead at least: give {order.type} a longer lead time"
    if start > now + LATEST:
        return f"EC2 reserves {LATEST.days} days ahead at most: place it from {(start - LATEST).date()} on"
    return ""


def show(plan: Plan, known: Placed, now: datetime, ask: bool) -> Report:
    """What `place` would do; with `ask`, EC2 is asked by DryRun whether it would be let to."""
    refuse_outdated(plan, known)
    lines = []
    for order in plan.orders:
        if (plan.id, order.line) in known.done:
            lines.append(Line(order, "already"))
        elif why := too_soon_or_late(order, now):
            lines.append(Line(order, "refused", why, late=_start(order) <= now))
        else:
            try:
                if ask:
                    dry_run(order, _start(order), token(plan, order))
                lines.append(Line(order, "would"))
            except Refused as refused:
                lines.append(Line(order, "refused", str(refused)))
    return Report(plan.id, tuple(lines))


def place(
    ledger: Ledger,
    plan: Plan,
    *,
    deadline: float = 600.0,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    told: Callable[[Line], None] = lambda line: None,
) -> Report:
    """Place every order of the plan that is not placed yet, within `deadline` seconds.

    `told` hears of each line as it ends. Raises UsageError for an outdated plan; HeadgateError where AWS lets nobody in
    or time is up, with what is placed in the ledger, so that the same command goes on from there.
    """
    ends = time.monotonic() + deadline
    with ledger.lease(LEASE) as lease:
        known = read_placed(ledger.entries(DOMAIN))
        refuse_outdated(plan, known)
        lines: list[Line] = []
        for order in plan.orders:
            if (plan.id, order.line) in known.done:
                line = Line(order, "already")
            elif why := too_soon_or_late(order, instant := now()):
                line = Line(order, "refused", why, late=_start(order) <= instant)
            else:
                if time.monotonic() > ends:
                    raise HeadgateError(
                        f"Time is up after {deadline:.0f} s, with {_count(lines)} of {len(plan.orders)} orders placed. "
                        "Run the same command again: it goes on from here."
                    )
                ledger.renew(lease, 60.0)
                entry = _entry(plan, order)
                if (plan.id, order.line) not in known.begun:
                    ledger.append(entry, lease)
                line = _ask(order, plan, doubtful=(plan.id, order.line) in known.begun)
                if line.settled:
                    what = REFUSED if line.outcome == "refused" else ORDERED
                    details = {**entry.details, "reference": line.reference}
                    ledger.append(replace(entry, what=what, why=line.words or entry.why, details=details), lease)
            lines.append(line)
            told(line)
    return Report(plan.id, tuple(lines))


def token(plan: Plan, order: Order) -> str:
    """What makes an order one: the same for the same line of the same plan."""
    return f"headgate-{plan.id}-{order.line}"


def words(order: Order) -> str:
    """An order as a sentence."""
    if order.kind == "schedule":
        return f"{order.group}: {number(order.count, 'instance')} from {order.start} on"
    return (
        f"{order.count} {order.type} reserved in {order.zone} from {order.start} on, for {number(order.weeks, 'week')}"
    )


def _ask(order: Order, plan: Plan, doubtful: bool) -> Line:
    try:
        if order.kind == "schedule":
            return Line(order, "placed", reference=resize(order, _start(order)))
        return Line(order, "placed", reference=reserve(order, _start(order), token(plan, order), doubtful))
    except Refused as refused:
        return Line(order, "refused", str(refused), settled=not isinstance(refused, Unsettled))


def _entry(plan: Plan, order: Order) -> Entry:
    details = {
        "plan": plan.id,
        "line": order.line,
        "kind": order.kind,
        "zone": order.zone,
        "type": order.type,
        "start": order.start.isoformat(),
        "count": order.count,
        "weeks": order.weeks,
        "group": order.group,
    }
    version = plan.forecast
    return Entry(
        DOMAIN, ORDERING, me(), words(order), to_version=version.version, bundle=version.bundle, details=details
    )


def _start(order: Order) -> datetime:
    return datetime(order.start.year, order.start.month, order.start.day, tzinfo=UTC)


def _count(lines: Sequence[Line]) -> int:
    return sum(line.outcome in ("placed", "already") for line in lines)
