"""A small app that takes uploads, on a real socket, and forms as browsers write them."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from headgate.api.endpoints import Endpoint, Operation, json
from headgate.api.media import GLB, JPEG, PNG
from headgate.api.problems import Problem, on_http_error, on_problem
from headgate.api.receiving import received
from headgate.api.upload_files import Uploads
from headgate.api.uploads import BODY, Files, Upload

from .wires import listening

PNG_HEAD = b"\x89PNG\r\n\x1a\n"
JPEG_HEAD = b"\xff\xd8\xff\xe0"
GLB_HEAD = b"glTF\x02\x00\x00\x00"

BOUNDARY = b"----WebKitFormBoundaryqL3"


class Item(msgspec.Struct, frozen=True):
    """What is told beside photos."""

    item: str
    grams: int = 0


PHOTOS = Upload(
    {"photo": Files((PNG, JPEG), "What the cameras saw.", most=3), "depth": Files((PNG,), "How far.", least=0)},
    largest=64 << 20,
    values=Item,
)
SCAN = Upload({BODY: Files((GLB,))}, largest=1 << 20)


@dataclass
class Desk:
    """The app's uploads, and what its handler does with one before it answers."""

    uploads: Uploads
    root: Path
    photos: Upload = PHOTOS
    working: asyncio.Event | None = None
    at_work: int = 0

    def left(self) -> list[Path]:
        """What lies there but for folders of processes."""
        return list(self.root.glob("*/*"))

    def app(self) -> Starlette:
        async def take(request: Request) -> Response:
            async with received(request, self.photos) as form:
                self.at_work += 1
                told = [
                    [one.field, one.size, one.sha256, one.media, one.filename, one.path.stat().st_size]
                    for one in form.files
                ]
                if self.working is not None:
                    await self.working.wait()
                return json({"files": told, "values": form.values})

        async def scan(request: Request) -> Response:
            async with received(request, SCAN) as form:
                (one,) = form.files
                return json([one.size, one.sha256, one.media, one.path.read_bytes()[:4].decode()])

        async def light(request: Request) -> Response:
            return json("ok")

        routes = [
            Endpoint("POST", "/photos", take, Operation("", "", None)),
            Endpoint("PUT", "/scans/{name}", scan, Operation("", "", None)),
            Endpoint("GET", "/light", light, Operation("", "", None), "open"),
        ]
        gone = {ClientDisconnect: lambda request, error: Response(status_code=400)}
        known: dict[Any, Any] = {Problem: on_problem, HTTPException: on_http_error, **gone}
        app = Starlette(routes=routes, exception_handlers=known)
        app.state.uploads = self.uploads
        return app


def desk(folder: Path, **more: Any) -> Desk:
    root = folder / "uploads"
    return Desk(Uploads(root, reserve=0, **more), root)


@contextmanager
def at(desk: Desk) -> Iterator[int]:
    """The port of the desk's app."""
    with listening(desk.app()) as port:
        yield port


#: A part of a form: name, filename (None: a text), bytes.
Part = tuple[str, str | None, bytes]


def form(parts: Sequence[Part], boundary: bytes = BOUNDARY) -> bytes:
    """The body of a form."""
    written = []
    for name, filename, data in parts:
        file = b"" if filename is None else b'; filename="%s"\r\nContent-Type: text/plain' % filename.encode()
        head = b'Content-Disposition: form-data; name="%s"%s' % (name.encode(), file)
        written.append(b"--%s\r\n%s\r\n\r\n%s\r\n" % (boundary, head, data))
    return b"".join(written) + b"--%s--\r\n" % boundary


def post(body: bytes, length: int | None = None, boundary: bytes = BOUNDARY, close: bool = True) -> bytes:
    """The request that sends a form, its length as it is or as it is said to be."""
    said = len(body) if length is None else length
    head = b"POST /photos HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n" % said
    head += b"Connection: close\r\n" if close else b""
    return head + b"Content-Type: multipart/form-data; boundary=%s\r\n\r\n%s" % (boundary, body)


def put(body: bytes, kind: bytes = b"image/png") -> bytes:
    """The request that sends a scan as its body."""
    head = b"PUT /scans/a HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n" % len(body)
    return head + b"Content-Type: %s\r\n\r\n%s" % (kind, body)


def said(answer: bytes) -> Any:
    """The JSON of an answer."""
    return msgspec.json.decode(answer.rpartition(b"\r\n\r\n")[2])
