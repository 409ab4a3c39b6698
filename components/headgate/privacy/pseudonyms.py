"""Names of persons as they are kept: salted and hashed, so that counters, log and datasets hold none in the clear."""

import os
import secrets
from collections.abc import Callable
from functools import lru_cache
from hashlib import blake2b

from headgate.errors import UsageError
from headgate.settings import Settings


def salt(settings: Settings) -> bytes:
    """The installation's salt: HEADGATE_SALT, or 32 random bytes in the state folder, made when first asked for."""
    if settings.salt:
        if len(settings.salt) < 16:
            raise UsageError("HEADGATE_SALT has fewer than 16 characters: `openssl rand -hex 32` makes a good one.")
        return settings.salt.encode()
    path = settings.home / "salt"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".salt-{secrets.token_hex(8)}")
        draft.touch(mode=0o600)
        try:
            draft.write_bytes(secrets.token_bytes(32))
            os.link(draft, path)  # whoever was first stays
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return path.read_bytes()


class Pseudonyms:
    """The same pseudonym for the same name, always; another salt gives others, and nothing leads back."""

    def __init__(self, salt: bytes) -> None:
        """`salt` keys the hash (BLAKE2b, 64 bytes of it at most)."""
        key = blake2b(salt).digest()

        @lru_cache(maxsize=65_536)
        def of(kind: str, name: str) -> str:
            return blake2b(
                name.encode("utf-8", "surrogatepass"), digest_size=12, key=key, person=kind.encode()
            ).hexdigest()

        self._of = of

    def __call__(self, kind: str, name: str) -> str:
        """24 hexadecimal digits for a `name` of a `kind`: equal names of two kinds differ."""
        return self._of(kind, name)


def unit_pseudonym(settings: Settings, domain: str, unit: str) -> str:
    """How a `unit` of `domain` is called wherever it is kept: in references, in the index, in ledger and receipts.

    Two domains call the same person differently, so that what they hold cannot be joined by name.
    """
    return unit_pseudonyms(settings, domain)(unit)


def unit_pseudonyms(settings: Settings, domain: str) -> Callable[[str], str]:
    """The same for many units."""
    pseudonym = _pseudonyms(salt(settings))
    return lambda unit: pseudonym("unit", f"{domain}\0{unit}")


@lru_cache(maxsize=8)
def _pseudonyms(salt: bytes) -> Pseudonyms:
    return Pseudonyms(salt)
