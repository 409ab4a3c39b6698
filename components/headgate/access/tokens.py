"""Bearer tokens: who may decide, operate and read. The file holds their hashes, never a token."""

import logging
import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from headgate.errors import UsageError
from headgate.files import atomic_file
from headgate.settings import Settings

log = logging.getLogger(__name__)

#: What a token may do in every domain. A domain declares more (`Domain.scopes`), such as `rooms.caretaker`.
SCOPES = {
    "decide": "posts events",
    "operate": "also sees scores, and changes things",
    "read": "sees what is decided and how",
}

#: What every token starts with, so that people and scanners of leaked secrets know one when they see it.
PREFIX = "hg_"

#: How old what is known of the file may be, in seconds: a token that was removed is refused after that.
LOOK_SECONDS = 1.0

ScopeName = Annotated[str, Meta(pattern=r"\A[a-z]+(\.[a-z-]+)?\Z")]
TokenName = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")]


class Token(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A token as the file holds it. A SHA-256 suffices: 256 random bits cannot be guessed, so it needs no salt."""

    name: TokenName
    scopes: Annotated[list[ScopeName], Meta(min_length=1)]
    sha256: Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z")]
    created: datetime


@dataclass(frozen=True)
class Caller:
    """Whose token a request shows, and what it may do."""

    name: str
    scopes: frozenset[str]


def read(file: Path) -> list[Token]:
    """The tokens in `file`, none where it is missing; UsageError where it is no such file."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=list[Token])
    except FileNotFoundError:
        return []
    except OSError as error:
        raise UsageError(f"The tokens in {file} cannot be read ({error}): let this user read it.") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        message = f"{file} holds no tokens ({error}): restore it, or remove it and run `headgate token add`."
        raise UsageError(message) from error


def add(file: Path, name: str, scopes: Sequence[str], known: Collection[str] = SCOPES) -> str:
    """Make a token, keep its hash in `file`, and return it: it is shown to nobody again. The caller holds a lock.

    Raises UsageError for a name or scopes that can be none; `known` are the scopes that there are.
    """
    tokens = read(file)
    if any(token.name == name for token in tokens):
        raise UsageError(f"There is a token {name!r} already: choose another name, or remove that one first.")
    token = PREFIX + secrets.token_urlsafe(32)
    digest, created = sha256(token.encode()).hexdigest(), datetime.now(UTC).replace(microsecond=0)
    unchecked = {"name": name, "scopes": sorted(set(scopes)), "sha256": digest, "created": created}
    try:
        made = msgspec.convert(unchecked, Token)
    except msgspec.ValidationError:
        made = None
    if made is None or not set(scopes) <= set(known):
        raise UsageError(
            f"A token needs a name of at most 64 letters, digits, dots, dashes or underscores ({name!r} was given) and "
            f"one or more of the scopes {', '.join(known)} ({', '.join(scopes) or 'none'} was given)."
        )
    _write(file, [*tokens, made])
    return token


def remove(file: Path, name: str) -> None:
    """Take the token `name` out of `file`; servers refuse it a second later. The caller holds a lock."""
    tokens = read(file)
    left = [token for token in tokens if token.name != name]
    if len(left) == len(tokens):
        known = ", ".join(token.name for token in tokens) or "none yet"
        raise UsageError(f"There is no token {name!r}. There are: {known}.")
    _write(file, left)


def _write(file: Path, tokens: Sequence[Token]) -> None:
    with atomic_file(file) as draft:
        draft.touch(mode=0o600)
        draft.write_bytes(msgspec.json.format(msgspec.json.encode(tokens)) + b"\n")


def loopback(host: str) -> bool:
    """Whether only this machine can reach what listens on `host`."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def refuse_open_doors(settings: Settings) -> None:
    """Raise UsageError where others could reach the server and no token stands between."""
    if not loopback(settings.host) and not read(settings.tokens_file):
        raise UsageError(
            f"On {settings.host} anybody could decide, since there is no token in {settings.tokens_file}: run "
            "`headgate token add NAME --scope decide` first, or listen on 127.0.0.1."
        )


class Keys:
    """The tokens of a file, by their hash; looks once a second whether the file is another.

    A caller learns nothing from how long `find` takes: what is compared is the hash of what was shown, and nobody can
    choose that. A file that becomes unreadable changes nothing until it is whole again; one that is gone holds none,
    which opens nothing to those who show none.
    """

    def __init__(self, file: Path) -> None:
        """Read `file`; UsageError where it is there and holds no tokens."""
        self._file, self._looked = file, float("-inf")
        self._stamp = _stamp(file)
        self._callers = _callers(read(file))
        self.needed = bool(self._callers)  # whether there is a token, or was one since

    def look(self, now: float) -> None:
        """Read the file again where it changed; `now` is in seconds of a clock that never goes back."""
        if now - self._looked < LOOK_SECONDS:
            return
        self._looked = now
        stamp = _stamp(self._file)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._callers = _callers(read(self._file))
            self.needed |= bool(self._callers)
        except UsageError as error:
            log.error("%s Until then the tokens that were known before hold.", error)

    def find(self, token: bytes) -> Caller | None:
        """Whose token it is; None where it is nobody's."""
        return self._callers.get(sha256(token).digest())


def _callers(tokens: Sequence[Token]) -> dict[bytes, Caller]:
    return {bytes.fromhex(token.sha256): Caller(token.name, frozenset(token.scopes)) for token in tokens}


def _stamp(file: Path) -> tuple[int, int, int] | None:
    """What differs where the file does: every change writes a new one. None where there is none."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size
