"""The lookups as a companion: which load of them is in force.

Their rows stay in the database and are asked for as clicks come. What is followed is which were loaded last: `Lookups`
forgets what it knew of others.
"""

import hashlib
from functools import lru_cache

from headgate.contract.companions import Companion
from headgate.domains.adclicks.companions.lookup_tables import Database, Load, words_of
from headgate.errors import HeadgateError
from headgate.settings import Settings

#: The name of the companion.
LOOKUPS = "lookups"


@lru_cache(maxsize=4)
def _database(settings: Settings) -> Database:
    return Database(settings)


def loads(settings: Settings) -> dict[str, Load]:
    """What was loaded last, by table. Raises HeadgateError where the database does not answer."""
    from sqlalchemy.exc import SQLAlchemyError

    try:
        return _database(settings).loads()
    except SQLAlchemyError as error:
        raise HeadgateError(f"The lookups' database does not answer ({words_of(error)}).") from error


def identify(settings: Settings) -> str | None:
    """The id of what both tables hold; None where nothing was loaded."""
    found = sorted((name, load.id) for name, load in loads(settings).items())
    return hashlib.sha256(repr(found).encode()).hexdigest()[:12] if found else None


#: What a click was found with stands in its row: a replay asks for no load of before.
COMPANIONS = (Companion(LOOKUPS, "lookups of accounts and campaigns", identify, loads),)
