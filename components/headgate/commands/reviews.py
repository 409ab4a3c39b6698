"""`headgate reviews DOMAIN`: what waits for people, how they agree, and whether the trail is whole."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headgate import settings
from headgate.commands.options import DomainArgument, Json, answer

if TYPE_CHECKING:
    from headgate.decisions.reviews.queue import Counts


def reviews(
    domain: DomainArgument,
    verify: Annotated[
        bool, typer.Option("--verify", help="Hold every event, case and ruling against the trail's hashes.")
    ] = False,
    json: Json = False,
) -> None:
    """What waits for people, how long, and how often two of them agree.

    `--verify` proves that nobody changed what was ruled.
    """
    from headgate.decisions.reviews import agreement, cases, queue
    from headgate.decisions.reviews.verify import verify as verify_trail

    here = settings.load()
    _ = domain.ruled_on  # whoever rules on nothing is told so
    if verify:
        count = verify_trail(here, domain.name)
        words = f"The reviews of {domain.name} hold {count:,} events, and every case and ruling is what they add up to."
        answer({"domain": domain.name, "events": count}, json, words)
        return
    cases.expire(here, domain)
    counts = queue.count(here, domain.name)
    agreed = agreement.agreement(here, domain, datetime.now(UTC))
    told: dict[str, Any] = {"domain": domain.name, **asdict(counts), "agreement": [asdict(one) for one in agreed]}
    answer(told, json, "\n".join([_words(domain.title, counts), *(f"  {one.words()}" for one in agreed)]))


def _words(title: str, counts: "Counts") -> str:
    kinds = ", ".join(f"{many:,} {reading}" for reading, many in sorted(counts.by_reading.items()))
    waiting = f"{counts.waiting:,} wait" + (f" ({kinds})" if kinds else "")
    lines = [f"{title}: {waiting}, {counts.claimed:,} are read now."]
    if counts.oldest_seconds is not None:
        lines.append(f"  The oldest was opened {_span(counts.oldest_seconds)} ago; {counts.overdue:,} are overdue.")
    lines.append(
        f"  Of {counts.opened:,} cases there are {counts.ruled:,} rulings by people; {counts.by_policy:,} were ended "
        "or escalated by their policy, as nobody ruled in time."
    )
    return "\n".join(lines)


def _span(seconds: float) -> str:
    for unit, size in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} seconds"
