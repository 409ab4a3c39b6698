"""What the store lets go by itself: what is over, what was cut off, keys and shards of nothing."""

from dataclasses import dataclass
from datetime import timedelta

from headgate.privacy.store import Store

#: For so long the index remembers of what is over that it was there, so that a trace can say when it went.
REMEMBERED = timedelta(days=400)


@dataclass(frozen=True)
class Swept:
    """What went."""

    expired: int
    bytes: int
    cut_off: int  # puts whose process died
    keys: int


def sweep(store: Store) -> Swept:
    """Let go of what is over and of what was cut off. It can be cut off itself, and be run beside whoever puts."""
    now, index = store.clock(), store.index
    expired = index.expired(now)
    store.places.erase(blob.place for blob in expired)
    index.let_go([blob.id for blob in expired])
    with store.alone():  # nobody is putting: whatever is pending was cut off
        cut_off = index.pending()
        store.places.erase(blob.place for blob in cut_off)
        index.drop([blob.id for blob in cut_off])
        idle = store.keys.units() - index.units()
        for unit in idle:  # what it opened is gone; so are copies that somebody kept
            store.keys.destroy(unit)
        store.places.tidy(index.files(), now)
    index.drop_gone(now - REMEMBERED)
    index.database.settle()
    return Swept(len(expired), sum(blob.size for blob in expired), len(cut_off), len(idle))
