"""What the ledger's entries of a domain add up to: who decides, what may serve, what is held, what was left undone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from headgate.registry.ledger import Entry

#: Rulings with which a version may decide: a reviewer who moves the alias to one that waits has reviewed it.
SERVABLE = ("passed", "review")


@dataclass(frozen=True)
class LedgerState:
    """Where a domain stands, by its ledger."""

    line: tuple[int, ...]  # the versions to go back through, oldest first; the last of them decides
    rulings: Mapping[int, tuple[str, str]]  # version → its bundle and the newest ruling on it, "override" included
    holds: tuple[Entry, ...]  # that no release has ended
    intent: Entry | None  # a change that was begun and neither made nor given up

    @property
    def champion(self) -> int | None:
        """The version that decides."""
        return self.line[-1] if self.line else None

    @property
    def previous(self) -> int | None:
        """The version to go back to. One that was rolled back from is never it."""
        return self.line[-2] if len(self.line) > 1 else None

    @property
    def wanted(self) -> int | None:
        """The version that a change which was begun puts in the champion's place."""
        return self.intent.to_version if self.intent else None

    def may_serve(self, version: int, bundle: str) -> bool:
        """Whether the gate, or a reviewer's override, lets `version` with exactly this `bundle` decide."""
        judged, ruling = self.rulings.get(version, ("", ""))
        return bool(bundle) and judged == bundle and ruling in (*SERVABLE, "override")

    def held(self, now: datetime | None = None) -> Entry | None:
        """The hold or freeze that keeps automatic promotion off at this instant, if there is one."""
        at = now or datetime.now(UTC)
        for hold in self.holds:
            starts, ends = (hold.details.get(name) for name in ("starts", "ends"))
            if (not starts or datetime.fromisoformat(starts) <= at) and (not ends or at < datetime.fromisoformat(ends)):
                return hold
        return None


def state_of(entries: Sequence[Entry]) -> LedgerState:
    """Add up the `entries` of one domain, oldest first."""
    line: list[int] = []
    rulings: dict[int, tuple[str, str]] = {}
    holds: list[Entry] = []
    intent: Entry | None = None
    for entry in entries:
        version = entry.to_version
        match entry.what:
            case "verdict" if version is not None:
                if rulings.get(version) != (entry.bundle, "override"):
                    rulings[version] = (entry.bundle, entry.ruling)
            case "override" if version is not None:
                rulings[version] = (entry.bundle, "override")
            case "hold":
                holds.append(entry)
            case "released":
                holds.clear()
            case "intent":
                intent = entry
            case "undone":
                intent = None
            case "changed" if version is not None:
                line = moved(line, version)
                intent = None
    return LedgerState(tuple(line), rulings, tuple(holds), intent)


def moved(line: Sequence[int], version: int) -> list[int]:
    """The line after `version` became champion: a newer one is put on top, an older one takes the champion's place.

    Going back ends the line there, so that the next rollback goes further back and not to what was found bad.
    """
    if version in line:
        return list(line[: line.index(version) + 1])
    kept = [one for one in line if one < version]
    return [*kept, version]


def is_rollback(line: Sequence[int], version: int) -> bool:
    """Whether making `version` champion goes back."""
    return bool(line) and version < line[-1]
