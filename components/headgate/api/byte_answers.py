"""Answers that are bytes, as pictures and meshes are: a part where one is asked for, and none where they are known."""

import os
import re
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from stat import S_ISREG
from urllib.parse import quote

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.types import Receive, Scope, Send

from headgate.api.problems import Problem

#: Who may keep an answer: nobody; its receiver, who asks each time whether it is still so; whoever likes, for ever.
#: What tells of a person is one of the first two.
NEVER, PRIVATE, FOREVER = "no-store", "private, no-cache", "public, max-age=31536000, immutable"

#: What all have: no browser takes them for a page, runs what is in them, or shows them to another site.
_HEADERS = {
    "x-content-type-options": "nosniff",
    "content-security-policy": "default-src 'none'; sandbox",
    "cross-origin-resource-policy": "same-origin",
    "accept-ranges": "bytes",
}

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.IGNORECASE)


def answer_bytes(
    request: Request, data: bytes, media: str, *, digest: str = "", cache: str = PRIVATE, filename: str = ""
) -> Response:
    """`data` of the type `media`, or the part that is asked for (206), or that it is still the same (304).

    `digest` is its SHA-256 in hex where it is known; `filename` is what a browser calls it that saves it. `Problem`
    (416) where the part lies beyond its end.
    """
    headers = _headers(digest or sha256(data).hexdigest(), cache, filename)
    if _is_known(request, headers):
        return _unchanged(headers)
    part = _part(request, len(data), headers)
    if part is None:
        return Response(data, headers=headers, media_type=media)
    start, end = part
    headers["content-range"] = f"bytes {start}-{end - 1}/{len(data)}"
    return Response(data[start:end], 206, headers=headers, media_type=media)


async def answer_file(
    request: Request, path: Path, media: str, *, digest: str, cache: str = PRIVATE, filename: str = ""
) -> Response:
    """As `answer_bytes`, of a file's bytes, which are read while they are sent; `Problem` (404) where there is none."""
    headers = _headers(digest, cache, filename)
    if _is_known(request, headers):
        return _unchanged(headers)
    try:
        found = await to_thread.run_sync(os.stat, path)
    except FileNotFoundError:
        found = None
    if found is None or not S_ISREG(found.st_mode):
        raise Problem(404, "not-found", "This is there no more.")
    part = _part(request, found.st_size, headers)
    return _File(path, headers=headers, media_type=media, stat_result=found, part=part)


class _File(FileResponse):
    """Starlette's, which answers to what it should pass over (a range that is none) with an error of its own."""

    chunk_size = 1 << 18  # bytes that are read in a thread at once

    def __init__(self, path: Path, *, part: tuple[int, int] | None, **named: object) -> None:
        super().__init__(path, **named)  # type: ignore[arg-type]
        self._range = b"" if part is None else b"bytes=%d-%d" % (part[0], part[1] - 1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the file, or the part of it."""
        others = [one for one in scope["headers"] if one[0] not in (b"range", b"if-range")]
        asked = [(b"range", self._range)] if self._range else []
        await super().__call__({**scope, "headers": others + asked}, receive, send)


def _headers(digest: str, cache: str, filename: str) -> dict[str, str]:
    disposition = f"inline; filename*=UTF-8''{quote(filename, safe='')}" if filename else "inline"
    return {**_HEADERS, "etag": f'"{digest}"', "cache-control": cache, "content-disposition": disposition}


def _is_known(request: Request, headers: Mapping[str, str]) -> bool:
    """Whether the request names these very bytes as those that it has."""
    known = request.headers.get("if-none-match", "")
    return known.strip() == "*" or headers["etag"] in (one.strip().removeprefix("W/") for one in known.split(","))


def _unchanged(headers: Mapping[str, str]) -> Response:
    kept = ("etag", "cache-control")
    return Response(status_code=304, headers={name: headers[name] for name in kept})


def _part(request: Request, size: int, headers: Mapping[str, str]) -> tuple[int, int] | None:
    """From where to where (exclusive) is asked for; None: the whole, which also answers to several parts at once."""
    found = _RANGE.fullmatch(request.headers.get("range", "").strip())
    if found is None or request.method != "GET" or request.headers.get("if-range", headers["etag"]) != headers["etag"]:
        return None
    first, last = found.groups()
    if not (first or last) or (first and last and int(last) < int(first)):  # no range, which is passed over
        return None
    start = int(first) if first else max(size - int(last), 0)
    end = min(int(last) + 1, size) if first and last else size
    if start >= size:
        said = f"There are {size:,} bytes, and a part beyond them was asked for: ask for one that is there."
        raise Problem(416, "range", said, headers={"Content-Range": f"bytes */{size}"})
    return start, end
