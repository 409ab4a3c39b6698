"""The store: bytes about persons and things, each of a unit that can be forgotten, found again by a reference.

What is logged, trained on, bundled, exported or backed up holds references. Bytes are addressed by their content within
their unit: the same put twice is the same reference, and two units that bring the same bytes share nothing.

A put notes where its bytes will lie, writes them, and then lets them count; a forgetting is noted, destroys the key of
its unit, removes the bytes, and then the rows. Cut off anywhere, both leave rows that tell what is left to do.
"""

import fcntl
import hashlib
import io
import os
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Any, BinaryIO

from headgate.contract.kinds import Kind
from headgate.errors import DataRefused, HeadgateError, UsageError
from headgate.files import sha256
from headgate.privacy.index import Blob, Forgetting, Index
from headgate.privacy.keys import NONCE, TAG, Keys, seal, unseal
from headgate.privacy.places import places
from headgate.privacy.pseudonyms import salt, unit_pseudonym
from headgate.privacy.references import Expired, Forgotten, Gone, Reference, parse
from headgate.settings import Settings

#: Bytes that are encrypted as one piece, in memory, at most.
MOST_SEALED = 256 << 20

#: Seconds that a forgetting waits for puts that are under way, and a put for a forgetting that begins.
WAIT_SECONDS = 60.0


@dataclass(frozen=True)
class Held:
    """What a reference leads to."""

    reference: str
    kind: str
    media: str
    size: int  # bytes
    put_at: datetime
    expires_at: datetime | None


@dataclass(frozen=True)
class Erased:
    """What the store held of a unit, and has no more."""

    unit: str  # its pseudonym
    at: datetime
    kinds: dict[str, dict[str, int]]  # by kind: blobs and bytes
    salt: str  # of the hashes
    hashes: dict[str, list[str]]  # by kind, of every blob SHA-256(salt + SHA-256 of the content), sorted


def _now() -> datetime:
    return datetime.now(UTC)


class Store:
    """What is held of the units of one domain. Safe to use from several threads and processes."""

    def __init__(
        self, settings: Settings, domain: str, kinds: Sequence[Kind], *, clock: Callable[[], datetime] = _now
    ) -> None:
        """Nothing is made until something is put."""
        self.settings, self.domain, self.clock = settings, domain, clock
        self.kinds = {kind.name: kind for kind in kinds}
        self.index, self.keys, self.places = Index(settings, domain), Keys(settings, domain), places(settings, domain)

    def put(self, unit: str, content: bytes | Path, kind: str, media: str | None = None) -> str:
        """Keep `content` of `unit` and answer its reference; a file that is given whole is moved into the store.

        Put again, its lifetime begins anew. Raises UsageError for a kind that the domain has not declared, DataRefused
        for a media type that the kind does not take, BeingForgotten while the unit is forgotten.
        """
        of, pseudonym = self._kind(kind), unit_pseudonym(self.settings, self.domain, unit)
        chosen = of.media[0] if media is None else media
        if chosen not in of.media:
            raise DataRefused(f"{of.words} cannot be {chosen!r}: bring {' or '.join(of.media)}.")
        with self._shared():
            reference = self._put(of, pseudonym, content, chosen)
        if isinstance(content, Path):
            content.unlink(missing_ok=True)
        return str(reference)

    def get(self, reference: str) -> bytes:
        """The bytes of a reference, verified.

        Raises Forgotten or Expired, which say when; UsageError for one that never was of this store; HeadgateError
        where what lies there is not what was put.
        """
        found = parse(reference)
        blob = self._held(found)
        try:
            stored = self.places.read(blob.place)
        except FileNotFoundError as error:
            raise self._away(found, error) from None
        try:
            content = self._plain(blob, stored)
        except HeadgateError as error:
            raise self._away(found, error) from None
        if self._name(blob.kind, blob.unit, hashlib.sha256(content).digest()) != blob.name:
            raise self._away(found, None)
        return content

    def open(self, reference: str) -> BinaryIO:
        """The same as a file that can be sought in, for whoever streams it or sends ranges of it."""
        found = parse(reference)
        blob = self._held(found)
        if self._kind(blob.kind).keyed:
            return io.BytesIO(self.get(reference))
        try:
            file = self.places.open(blob.place)
        except FileNotFoundError as error:
            raise self._away(found, error) from None
        digest = hashlib.sha256()
        while data := file.read(1 << 20):
            digest.update(data)
        if self._name(blob.kind, blob.unit, digest.digest()) != blob.name:
            file.close()
            raise self._away(found, None)
        file.seek(0)
        return file

    def about(self, reference: str) -> Held:
        """What a reference leads to, without its bytes; raises as `get` does."""
        blob = self._held(parse(reference))
        return Held(reference, blob.kind, blob.media, blob.size, blob.put_at, blob.expires_at)

    def tell(self, reference: str) -> str:
        """Words about a reference, whatever has become of it."""
        try:
            held = self.about(reference)
        except Gone as error:
            return f"{error.word} on {error.at:%Y-%m-%d %H:%M} UTC"
        except HeadgateError:
            return "not in this store"
        until = f"until {held.expires_at:%Y-%m-%d %H:%M} UTC" if held.expires_at else "until its unit is forgotten"
        return f"{held.media}, {held.size:,} bytes, held {until}"

    def forget(self, unit: str) -> Erased:
        """Forget what the store holds of `unit`. Done again it finds nothing; cut off, it goes on where it was.

        Log, ledger and receipt are `operations.forget`'s.
        """
        begun = self.begin(unit_pseudonym(self.settings, self.domain, unit))
        erased = self.erase(begun)
        self.index.done(begun)
        return erased

    # ------------------------------------------------------------------------------------------------ forgetting

    def begin(self, pseudonym: str, who: str = "", why: str = "") -> Forgetting:
        """Note that a unit is to be forgotten, or go on with what was noted. No put of it is under way then."""
        with self.alone():
            return self.index.begin(pseudonym, self.clock(), who, why)

    def survey(self, pseudonym: str) -> dict[str, Any]:
        """What is held of a unit: `Erased` but for unit and instant. Reads all of it, for the hashes."""
        drawn, kinds, hashes = secrets.token_hex(16), dict[str, dict[str, int]](), dict[str, list[str]]()
        for blob in self.index.of_unit(pseudonym):
            if blob.state != "whole":
                continue
            counted = kinds.setdefault(blob.kind, {"blobs": 0, "bytes": 0})
            counted["blobs"] += 1
            counted["bytes"] += blob.size
            try:
                digest = hashlib.sha256(self._plain(blob, self.places.read(blob.place))).hexdigest()
            except (FileNotFoundError, HeadgateError):  # it goes all the same, and is counted
                continue
            hashes.setdefault(blob.kind, []).append(salted(drawn, digest))
        return {"salt": drawn, "kinds": kinds, "hashes": {kind: sorted(found) for kind, found in hashes.items()}}

    def erase(self, forgetting: Forgetting) -> Erased:
        """Destroy the key of a unit whose forgetting has begun, then its bytes, then its rows."""
        if forgetting.state == "begun":
            if "kinds" not in forgetting.told:
                forgetting = self.index.note(forgetting, {**forgetting.told, **self.survey(forgetting.unit)})
            rows = self.index.of_unit(forgetting.unit)
            self.keys.destroy(forgetting.unit)
            self.places.erase(blob.place for blob in rows)
            self.places.erase_unit(forgetting.unit)
            forgetting = self.index.erased(forgetting)
            self.index.database.settle()
        told = forgetting.told
        return Erased(forgetting.unit, forgetting.at, told["kinds"], told["salt"], told["hashes"])

    # ------------------------------------------------------------------------------------------------ within

    def _put(self, kind: Kind, unit: str, content: bytes | Path, media: str) -> Reference:
        now = self.clock()
        until = None if kind.lifetime is None else now + kind.lifetime
        key = self.keys.make(unit) if kind.keyed else None
        digest = bytes.fromhex(sha256(content)) if isinstance(content, Path) else hashlib.sha256(content).digest()
        size = content.stat().st_size if isinstance(content, Path) else len(content)
        reference = Reference(self.domain, kind.name, unit, self._name(kind.name, unit, digest))
        if kind.keyed and size > MOST_SEALED:
            raise DataRefused(f"{kind.words} have {size:,} bytes; {MOST_SEALED:,} can be encrypted: bring less.")
        length, about = size + (NONCE + TAG if kind.keyed else 0), {"media": media, "size": size}
        place_it = partial(self.places.reserve, kind.name, unit, reference.name, length, now)
        reserved = self.index.reserve(unit, kind.name, reference.name, now, until, about, place_it)
        if reserved is None:
            return reference
        row, place = reserved
        try:
            if key is not None:
                plain = content if isinstance(content, bytes) else content.read_bytes()
                content = seal(key, plain, str(reference).encode())
            self.places.write(place, content)
        except BaseException:
            with suppress(HeadgateError, OSError):  # else the row tells the sweeper what may be left
                self.places.erase([place])
                self.index.drop([row])
            raise
        if not self.index.finish(row, unit, kind.name, reference.name, now, until):
            self.places.erase([place])  # another brought the same at this moment
            self.index.drop([row])
        return reference

    def _held(self, reference: Reference) -> Blob:
        """The row of what is held; raises where it is not."""
        if reference.domain != self.domain:
            raise UsageError(f"{reference} is of {reference.domain}, and this is the store of {self.domain}.")
        past = self.index.forgettings(reference.unit)
        blob = self.index.find(reference.unit, reference.kind, reference.name)
        if past and (blob is None or past[-1].state == "begun"):
            raise Forgotten(reference, past[-1].at)
        if blob is None:
            raise UsageError(f"{reference} is not in this store, or has been gone for long: check HEADGATE_HOME.")
        if blob.expires_at is not None and blob.is_over(self.clock()):
            raise Expired(reference, blob.expires_at)
        return blob

    def _away(self, reference: Reference, error: Exception | None) -> HeadgateError:
        """What to say of bytes that could not be read: they may have gone while they were."""
        try:
            self._held(reference)
        except HeadgateError as gone:
            return gone
        if isinstance(error, FileNotFoundError):
            return HeadgateError(f"The bytes of {reference} are not here: the state was restored without its store.")
        if self._kind(reference.kind).keyed and self.keys.find(reference.unit) is None:
            return HeadgateError(f"The key of {reference} is not here, and without it nobody can read its bytes.")
        return HeadgateError(f"The bytes of {reference} are not what was put: restore them from a backup.")

    def _plain(self, blob: Blob, stored: bytes) -> bytes:
        if not self._kind(blob.kind).keyed:
            return stored
        key, reference = self.keys.find(blob.unit), Reference(self.domain, blob.kind, blob.unit, blob.name)
        if key is None:
            raise HeadgateError(f"The key of {reference} is not here.")
        return unseal(key, stored, str(reference).encode())

    def _name(self, kind: str, unit: str, digest: bytes) -> str:
        """What names content of this digest, by a secret: the unit's key where it has one, else the installation's."""
        secret = self.keys.find(unit) if self._kind(kind).keyed else salt(self.settings)
        key = blake2b(secret or b"", digest_size=32, person=b"headgate-name").digest()
        told = b"\0".join([self.domain.encode(), kind.encode(), unit.encode(), digest])
        return blake2b(told, digest_size=16, key=key).hexdigest()

    def _kind(self, name: str) -> Kind:
        if name not in self.kinds:
            known = ", ".join(self.kinds) or "none"
            raise UsageError(f"{self.domain} keeps no {name!r}; its kinds are: {known}. Declare it in Domain.kinds.")
        return self.kinds[name]

    def _shared(self) -> Any:
        """Put beside others who put."""
        return self._locked(fcntl.LOCK_SH)

    def alone(self) -> Any:
        """Wait until no put is under way, and let none begin before the block ends."""
        return self._locked(fcntl.LOCK_EX)

    @contextmanager
    def _locked(self, how: int) -> Iterator[None]:
        """A lock of this machine's processes; it is held for as long as a put takes, and goes with its process."""
        path = self.settings.home / "locks" / f"store-{self.domain}.lock"
        if not path.parent.is_dir():
            path.parent.mkdir(parents=True, exist_ok=True)
        fd, deadline = os.open(path, os.O_CREAT | os.O_RDWR, 0o600), time.monotonic() + WAIT_SECONDS
        try:
            while True:
                try:
                    fcntl.flock(fd, how | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise HeadgateError(
                            f"The store of {self.domain} is busy: nothing was done, try again."
                        ) from None
                    time.sleep(0.005)
            yield
        finally:
            os.close(fd)


def salted(drawn: str, digest: str) -> str:
    """How a receipt tells of content with a SHA-256 (hex): whoever has the content can find it there, nobody else."""
    return hashlib.sha256(f"{drawn}{digest}".encode()).hexdigest()
