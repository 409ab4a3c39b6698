"""The calendar and the masks in words: lists, histories, and what a change changes."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from headgate.domains.capacity.companions import local_time
from headgate.domains.capacity.companions.calendar import Event, Mask, columns
from headgate.domains.capacity.companions.local_time import brief, parse, write_length

Cells = dict[str, str]


def listing(rows: Sequence[Event | Mask]) -> str:
    """A line a row: what, where, when, how long."""
    if not rows:
        return "There is none."
    what = ("event", "kind", "name", "intensity") if isinstance(rows[0], Event) else ("mask", "effect")
    return _table((*what, "region", "services", "start", "end", "length", "status"), map(_shown, rows))


def history(rows: Sequence[Event | Mask]) -> str:
    """A line a revision: since when it is known, who made it, what it says and why."""
    what = ("kind", "name", "intensity") if isinstance(rows[0], Event) else ("effect",)
    where = ("region", "services", "start", "end", "length", "status")
    return _table(("revision", "known since", "author", *where, *what, "reason"), map(_shown, rows))


def change(before: Event | Mask | None, after: Event | Mask, series: Sequence[str]) -> str:
    """A line for each part of a row, with what it was where it changes, and the `series` that it applies to."""
    new, old = _shown(after), _shown(before) if before else {}
    parts = [part for part in new if part not in ("revision", "known since", "author", "reason")]
    changed = {part for part in parts if before and old[part] != new[part]}
    width = max((len(old[part]) for part in changed), default=0)
    lines = [f"{after.id}, revision {after.revision} by {after.author}"]
    for part in parts[1:]:
        was = f"{old[part]:<{width}}  →  " if part in changed else " " * (width + 5 if changed else 0)
        if new[part] or part in changed:
            lines.append(f"  {part:<10} {was}{new[part]}".rstrip())
    few = ", ".join(series[:3]) + (f" and {len(series) - 3} more" if len(series) > 3 else "")
    return "\n".join([*lines, f"  {'series':<10} {' ' * (width + 5 if changed else 0)}{few or 'none'}"])


def values(row: Event | Mask) -> dict[str, Any]:
    """A row for programs, instants as text."""
    found = {column: getattr(row, column) for column in columns(type(row))}
    return found | {"known_since": local_time.write(row.known_since)}


def _shown(row: Event | Mask) -> Cells:
    """What a person sees of a row, by title."""
    what = {"event": row.event, "kind": row.kind, "name": row.name} if isinstance(row, Event) else {"mask": row.mask}
    more = {"intensity": f"{row.intensity:g}"} if isinstance(row, Event) else {"effect": row.effect}
    return {
        **what,
        **more,
        "start": brief(parse(row.start)),
        "end": brief(parse(row.end)),
        "length": write_length(row.length),
        "region": row.region,
        "services": "|".join(row.services),
        "status": row.status,
        "revision": str(row.revision),
        "known since": brief(row.known_since),
        "author": row.author,
        "reason": " ".join(row.reason.split()),
    }


def _table(titles: Sequence[str], rows: Iterable[Mapping[str, str]]) -> str:
    """Columns of even width, in plain text that other tools can cut."""
    lines = [titles, *([row[title] for title in titles] for row in rows)]
    widths = [max(len(line[place]) for line in lines) for place in range(len(titles))]
    return "\n".join("  ".join(f"{cell:<{w}}" for cell, w in zip(line, widths, strict=True)).rstrip() for line in lines)
