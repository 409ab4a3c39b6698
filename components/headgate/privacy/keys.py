"""Keys of units: apart from the bytes that they open, in no backup, and gone before those bytes are.

A copy of encrypted bytes that somebody has kept, an old backup say, is unreadable once the key of its unit is gone.
"""

import os
import secrets
from functools import cache
from typing import TYPE_CHECKING, Any

from headgate.errors import HeadgateError
from headgate.privacy.databases import Database
from headgate.settings import Settings

if TYPE_CHECKING:
    from sqlalchemy import Connection

#: Bytes of the number that is used once, before the encrypted bytes, and of the seal behind them.
NONCE, TAG = 12, 16


@cache
def _table() -> Any:
    from sqlalchemy import Column, LargeBinary, MetaData, String, Table

    whose = (Column("domain", String(64), primary_key=True), Column("unit", String(24), primary_key=True))
    return Table("keys", MetaData(), *whose, Column("key", LargeBinary(32), nullable=False))


@cache
def _find() -> Any:
    from sqlalchemy import text

    return text("select key from keys where domain = :domain and unit = :unit")


class Keys:
    """The keys of the units of one domain. None is kept in memory: another process may destroy it."""

    def __init__(self, settings: Settings, domain: str) -> None:
        """Nothing is made until the first key is."""
        self._domain, self.database = domain, Database(settings.keys_folder / "units.db", _table().metadata, "DELETE")

    def find(self, unit: str) -> bytes | None:
        """The key of `unit` (32 bytes); None where it has none, or none any more."""
        with self.database.reading() as connection:
            return None if connection is None else self._found(connection, unit)

    def make(self, unit: str) -> bytes:
        """The key of `unit`, made where it has none; it is on the disk when this returns."""
        from sqlalchemy import insert

        if found := self.find(unit):
            return found
        with self.database.writing() as connection:
            found = self._found(connection, unit)
            if found is None:
                found = secrets.token_bytes(32)
                connection.execute(insert(_table()).values(domain=self._domain, unit=unit, key=found))
            return found

    def destroy(self, unit: str) -> None:
        """Overwrite and remove the key of `unit`, if it has one."""
        if self.find(unit) is None:
            return
        with self.database.writing() as connection:
            connection.execute(_table().delete().where(self._is(unit)))

    def units(self) -> set[str]:
        """The units that have a key."""
        from sqlalchemy import select

        with self.database.reading() as connection:
            if connection is None:
                return set()
            asked = select(_table().c.unit).where(_table().c.domain == self._domain)
            return set(connection.execute(asked).scalars())

    def _found(self, connection: "Connection", unit: str) -> bytes | None:
        found = connection.execute(_find(), {"domain": self._domain, "unit": unit}).scalar_one_or_none()
        return None if found is None else bytes(found)

    def _is(self, unit: str) -> Any:
        return (_table().c.domain == self._domain) & (_table().c.unit == unit)


def seal(key: bytes, content: bytes, about: bytes) -> bytes:
    """`content` encrypted by AES-256-GCM, with what it is `about` sealed in; longer by `NONCE` and `TAG`."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    nonce = os.urandom(NONCE)
    return nonce + AESGCM(key).encrypt(nonce, content, about)


def unseal(key: bytes, sealed: bytes, about: bytes) -> bytes:
    """What was sealed; HeadgateError where it is not what was sealed about this, or by this key."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    try:
        return AESGCM(key).decrypt(sealed[:NONCE], sealed[NONCE:], about)
    except (InvalidTag, ValueError):
        raise HeadgateError("What was read is not what was sealed: its bytes, or their key, are others.") from None
