"""What people ruled by hand: it holds whatever is replayed."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import polars as pl

from headgate.decisions.layout import claim, corrections_folder
from headgate.domain import Domain
from headgate.errors import UsageError
from headgate.files import atomic_file
from headgate.settings import Settings

#: The folder of people's rulings among the replays'.
RULINGS = "rulings"


#: The columns of a ruling.
RULING: dict[str, pl.DataType] = {
    "decision_id": pl.String(),
    "outcome": pl.String(),
    "who": pl.String(),
    "why": pl.String(),
}


def rule(settings: Settings, domain: Domain, decisions: Sequence[str], *, outcome: str, who: str, why: str) -> Path:
    """Note a person's ruling on `decisions`: it holds from now on, whatever is replayed. The newest ruling counts.

    Raises UsageError where `outcome` is none that the domain knows.
    """
    if outcome not in domain.decides.words:
        known = ", ".join(domain.decides.words)
        raise UsageError(f"{domain.name} has no outcome {outcome!r}; there are: {known}.")
    home = corrections_folder(settings, domain.name)
    claim(home)
    folder = home / RULINGS
    names = (f"{datetime.now(UTC) + timedelta(microseconds=n):%Y%m%dT%H%M%S%f}.parquet" for n in count())
    target = next(folder / name for name in names if not (folder / name).exists())
    rows = [{"decision_id": one, "outcome": outcome, "who": who, "why": why} for one in decisions]
    with atomic_file(target) as draft:
        pl.DataFrame(rows, schema=RULING).write_parquet(draft)
    return target
