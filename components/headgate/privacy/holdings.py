"""What the store holds now, in figures: for whoever looks whether it keeps its promises."""

from dataclasses import dataclass
from datetime import datetime

from headgate.domain import Domain
from headgate.privacy.store import Store
from headgate.settings import Settings


@dataclass(frozen=True)
class KindHeld:
    """Of one kind."""

    name: str
    words: str
    lifetime: str  # in words
    units: int
    blobs: int
    bytes: int
    expires_at: datetime | None  # the first of them


@dataclass(frozen=True)
class Holdings:
    """Of one domain."""

    domain: str
    kinds: tuple[KindHeld, ...]
    overdue: int  # blobs whose time is over and whose bytes are still there: `headgate gc` takes them
    owed: int  # forgettings that were begun and are not done
    forgotten: int  # units

    def words(self) -> str:
        """In a line, or two."""
        held = [
            f"{kind.words}: {kind.blobs:,} of {kind.units:,} units, {kind.bytes / 1e6:,.1f} MB, kept {kind.lifetime}"
            + (f", the first until {kind.expires_at:%Y-%m-%d %H:%M} UTC" if kind.expires_at else "")
            for kind in self.kinds
        ]
        if self.overdue:
            held.append(f"{self.overdue:,} are over and still on the disk: run `headgate gc {self.domain}`")
        if self.owed:
            held.append(f"{self.owed:,} units are still to be forgotten: run `headgate forget {self.domain} --owed`")
        return "; ".join(held)


def read_holdings(settings: Settings, domain: Domain) -> Holdings:
    """Look at the index; no bytes are read, and nothing is made where nothing was put."""
    store = Store(settings, domain.name, domain.kinds)
    sums, kinds = store.index.sums(), []
    for kind in domain.kinds:
        units, blobs, size, until = sums.get(kind.name, (0, 0, 0, None))
        lifetime = "until it is forgotten" if kind.lifetime is None else f"for {kind.lifetime}"
        kinds.append(KindHeld(kind.name, kind.words, lifetime, units, blobs, size, until))
    past = store.index.forgettings()
    done = {one.unit for one in past if one.state == "done"}
    owed = sum(one.state != "done" for one in past)
    return Holdings(domain.name, tuple(kinds), len(store.index.expired(store.clock())), owed, len(done))
