"""Receipts of what was forgotten: signed, so that whoever gets one can show later what was promised, and by whom.

A receipt is JSON. Its statement tells of whom (a pseudonym), when, and what went, by kind and count, with salted hashes
in which the owner of content finds it again. The ledger keeps the SHA-256 of the statement, the receipt names the
ledger's entry, and the installation's key (Ed25519) signs both. It proves what this Headgate says it did; it cannot
prove that nobody has copied the bytes before.
"""

import hashlib
import json
import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headgate.errors import DataRefused, UsageError
from headgate.files import write_json
from headgate.settings import Settings

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

FORMAT = 1


@dataclass(frozen=True)
class Statement:
    """What was forgotten."""

    domain: str
    unit: str  # its pseudonym
    at: str  # UTC, ISO 8601: all that was there then is gone
    kinds: Mapping[str, Mapping[str, int]]  # of the store: blobs and bytes by kind
    places: Mapping[str, int]  # of everything else: how many rows or things, by what held them
    salt: str
    hashes: Mapping[str, tuple[str, ...]]  # by kind: SHA-256(salt + SHA-256 of the content), in hexadecimal digits
    format: int = FORMAT

    def digest(self) -> str:
        """What the ledger keeps of it."""
        return hashlib.sha256(_bytes(asdict(self))).hexdigest()


@dataclass(frozen=True)
class Receipt:
    """A signed statement."""

    statement: Statement
    seq: int  # of the ledger's entry
    hash: str  # of the same
    public_key: str
    signature: str  # of all of the above, in hexadecimal digits

    def plain(self) -> dict[str, Any]:
        """As it is written."""
        signed = _signed(self.statement, self.seq, self.hash, self.public_key)
        return signed | {"signature": self.signature}

    def is_signed(self) -> bool:
        """Whether its key has signed just this."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        try:
            key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(self.public_key))
            key.verify(
                bytes.fromhex(self.signature), _bytes(_signed(self.statement, self.seq, self.hash, self.public_key))
            )
        except (InvalidSignature, ValueError):
            return False
        return True


def sign(settings: Settings, statement: Statement, seq: int, entry_hash: str) -> Receipt:
    """The receipt of a statement that the ledger has an entry of."""
    key, public = _key(settings), public_key(settings)
    signature = key.sign(_bytes(_signed(statement, seq, entry_hash, public))).hex()
    return Receipt(statement, seq, entry_hash, public, signature)


def public_key(settings: Settings) -> str:
    """What this installation's receipts can be verified by, in hexadecimal digits; made where there is none."""
    return _key(settings).public_key().public_bytes_raw().hex()


def is_key_of(settings: Settings, public: str) -> bool:
    """Whether a public key is this installation's; asking makes none."""
    return _key_file(settings).is_file() and public_key(settings) == public


def receipt_file(settings: Settings, statement: Statement) -> Path:
    """Where a receipt lies: its name tells no more than it does."""
    stamp = "".join(c for c in statement.at[:19] if c.isdigit())
    return settings.home / "receipts" / statement.domain / f"{stamp}-{statement.unit}.json"


def keep_receipt(settings: Settings, receipt: Receipt) -> Path:
    """Write a receipt to where receipts lie."""
    path = receipt_file(settings, receipt.statement)
    write_json(path, receipt.plain())
    return path


def read_receipt(path: Path) -> Receipt:
    """The receipt at `path`; DataRefused where it is none, or is not what was signed."""
    try:
        told = json.loads(path.read_bytes())
        ledger, public, signature = told.pop("ledger"), told.pop("public_key"), told.pop("signature")
        hashes = {kind: tuple(found) for kind, found in told.pop("hashes").items()}
        receipt = Receipt(Statement(**told, hashes=hashes), ledger["seq"], ledger["hash"], public, signature)
        whole = receipt.is_signed() and receipt.plain() == json.loads(path.read_bytes())
    except FileNotFoundError:
        raise UsageError(f"There is no receipt {path}.") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise DataRefused(f"{path} is no receipt: give the file that `headgate forget` wrote.") from None
    if not whole:
        raise DataRefused(f"{path} is not what was signed: it was changed, or is no receipt of a Headgate.")
    return receipt


def _signed(statement: Statement, seq: int, entry_hash: str, public: str) -> dict[str, Any]:
    told = json.loads(_bytes(asdict(statement)))
    return {**told, "ledger": {"seq": seq, "hash": entry_hash}, "public_key": public}


def _bytes(value: Mapping[str, Any]) -> bytes:
    """One and the same bytes for one and the same value."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def _key_file(settings: Settings) -> Path:
    return settings.keys_folder / "receipts.key"


def _key(settings: Settings) -> "Ed25519PrivateKey":
    """The key that signs, made when it is first asked for: whoever was first stays."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    path = _key_file(settings)
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft = path.with_name(f".tmp-{secrets.token_hex(4)}-{path.name}")
        draft.touch(mode=0o600)
        try:
            draft.write_text(Ed25519PrivateKey.generate().private_bytes_raw().hex() + "\n", encoding="ascii")
            with suppress(FileExistsError):
                os.link(draft, path)
        finally:
            draft.unlink()
    return Ed25519PrivateKey.from_private_bytes(bytes.fromhex(path.read_text(encoding="ascii").strip()))
