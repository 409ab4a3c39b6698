"""Receives uploads: streams them to disk within the endpoint's own limits, and leaves nothing of them behind."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from time import perf_counter

import msgspec
from starlette.requests import ClientDisconnect, Request

from headgate.api.forms import Begun, Ended, FormParser, shown
from headgate.api.media import TELLING, UNKNOWN
from headgate.api.problems import FieldError, Problem, undecodable
from headgate.api.signals import PATIENT
from headgate.api.upload_files import Draft, Uploads
from headgate.api.uploads import BODY, FORM, Form, Received, Upload

#: Seconds that every upload is given, whatever its rate; then it must have kept its rate since it began.
START_SECONDS = 10.0

#: Longest texts of a form, all together, in bytes.
MAX_TEXT = 1 << 16

#: Bytes that are gathered before they are written.
BLOCK = 1 << 20


@asynccontextmanager
async def received(request: Request, upload: Upload) -> AsyncIterator[Form]:
    """The files and texts of `request`, for the length of the block; however it ends, no file of it is left.

    Raises `Problem`: 400 where it is torn, 408 where it is slow, 413 where it is too long, 415 where a file is of a
    type that is not taken, 422 where fields are missing, too many or unknown, 503 where too many uploads are under
    way, 507 where the disk is too full. What is refused by its head alone is not asked for its body.
    """
    uploads: Uploads = request.app.state.uploads
    expected, incoming = _expected(request, upload), _Incoming(upload)
    kind = request.headers.get("content-type", "")
    as_form = kind.partition(";")[0].strip().lower() == FORM
    if as_form and not upload.form:
        raise Problem(415, "wrong-type", "This takes no form: send the file itself as the body.")
    if not as_form and BODY not in upload.files:
        raise Problem(415, "wrong-type", f"This takes a form: send it as {FORM}.")
    parser = FormParser(kind) if as_form else None
    async with uploads.folder(expected) as folder:
        incoming.folder = folder
        request.scope[PATIENT] = True
        try:
            await _receive(request, upload, parser, incoming, uploads)
        except BaseException:
            await uploads.aside(incoming.close)
            raise
        finally:
            del request.scope[PATIENT]
        yield incoming.form()


async def _receive(
    request: Request, upload: Upload, parser: FormParser | None, incoming: "_Incoming", uploads: Uploads
) -> None:
    """Write what comes, in blocks, so that few bytes are held and the event loop waits for no disk."""
    if parser is None:
        incoming.begin(Begun(BODY, ""))
    async for piece in _pieces(request, upload):
        if parser is None:
            incoming.take(memoryview(piece))
        else:
            for event in parser.feed(piece):
                if isinstance(event, memoryview):
                    incoming.take(event)
                elif isinstance(event, Begun):
                    incoming.begin(event)
                elif isinstance(event, Ended):
                    incoming.end()
        if incoming.held >= BLOCK:
            await uploads.write(incoming.release())
    if parser is None:
        incoming.end()
    else:
        parser.finish()
    incoming.hold_complete()
    await uploads.write(incoming.release())


async def _pieces(request: Request, upload: Upload) -> AsyncIterator[bytes]:
    """The body as it comes, while it keeps its length and its time. Our own work between pieces is not counted."""
    size, waited, more = 0, 0.0, True
    while more:
        allowed = min(upload.seconds, START_SECONDS + size / upload.rate)
        began = perf_counter()
        try:
            async with asyncio.timeout(allowed - waited):
                message = await request.receive()
        except TimeoutError:
            taken = f"within {upload.seconds:g} s, and no slower than {upload.rate:,.0f} bytes a second"
            raise Problem(408, "too-slow", f"An upload must arrive {taken}: send it again, or less at once.") from None
        waited += perf_counter() - began
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        piece = message.get("body", b"")
        more = message.get("more_body", False)
        size += len(piece)
        if size > upload.largest:
            raise _too_large(upload)
        yield piece


class _Incoming:
    """The parts of an upload as they come, held against what the endpoint takes."""

    def __init__(self, upload: Upload) -> None:
        self._upload = upload
        self._texts = tuple(one.encode_name for one in msgspec.structs.fields(upload.values)) if upload.values else ()
        self._counts: Counter[str] = Counter()
        self._drafts: list[tuple[Begun, Draft]] = []
        self._values: dict[str, bytearray] = {}
        self._into: Draft | bytearray = bytearray()
        self._part = Begun(BODY, None)
        self._waiting: list[tuple[Draft, memoryview | None]] = []
        self.held = 0  # bytes that are to be written
        self.folder = Path()

    def begin(self, part: Begun) -> None:
        """A part begins; `Problem` (422) where it is not taken, or once too often."""
        self._part, name = part, part.name
        files = self._upload.files.get(name)
        if part.filename is None and name in self._texts:
            most: int = 1
        elif part.filename is not None and files is not None:
            most = files.most
        else:
            known = ", ".join(f"`{one}`" for one in (*self._upload.files, *self._texts) if one != BODY)
            what = f"There is no {'text' if part.filename is None else 'file'} `{name[:64]}`: this takes {known}"
            raise _field_problem(name, what)
        self._counts[name] += 1
        if self._counts[name] > most:
            raise _field_problem(
                name, f"`{name}` comes more than {most} times" if most > 1 else f"`{name}` comes twice"
            )
        if part.filename is None:
            self._into = self._values[name] = bytearray()
        else:
            self._into = Draft(self.folder / f"{len(self._drafts)}")
            self._drafts.append((part, self._into))

    def take(self, data: memoryview) -> None:
        """Bytes of the part; `Problem` (413, 415) where they are not taken."""
        if isinstance(self._into, Draft):
            undecided = len(self._into.head) < TELLING
            self._into.take(data)
            if undecided and len(self._into.head) == TELLING:
                self._hold_type(self._into)
            self._waiting.append((self._into, data))
            self.held += len(data)
        else:
            self._into += data
            if sum(map(len, self._values.values())) > MAX_TEXT:
                raise Problem(
                    413, "too-large", f"The texts of the form are longer than {MAX_TEXT:,} bytes: write less."
                )

    def end(self) -> None:
        """The part is whole."""
        if not isinstance(self._into, Draft):
            return
        if not self._into.size and not self._part.filename and self._part.name != BODY:  # a file that nobody chose
            self._drafts.pop()
            self._counts[self._part.name] -= 1
        else:
            self._hold_type(self._into)
            self._waiting.append((self._into, None))

    def release(self) -> list[tuple[Draft, memoryview | None]]:
        """What is to be written, which is held no longer."""
        told, self._waiting, self.held = self._waiting, [], 0
        return told

    def hold_complete(self) -> None:
        """Raise `Problem` (422) where a file is missing."""
        if self._counts[BODY]:
            return
        for name, files in self._upload.files.items():
            if name != BODY and self._counts[name] < files.least:
                what = f"`{name}` is missing" if files.least == 1 else f"`{name}` must come {files.least} times"
                raise _field_problem(name, what)

    def close(self) -> None:
        """Close what is half written."""
        for _, draft in self._drafts:
            with suppress(OSError):
                draft.abandon()

    def form(self) -> Form:
        """What has come; `Problem` (422) where a text is not what it must be."""
        files = [
            Received(part.name, draft.path, draft.size, draft.sha256, draft.media, shown(part.filename or ""))
            for part, draft in self._drafts
        ]
        if self._upload.values is None or self._counts[BODY]:
            return Form(files)
        try:
            texts = {name: value.decode() for name, value in self._values.items()}
            return Form(files, msgspec.convert(texts, self._upload.values, strict=False))
        except UnicodeDecodeError:
            raise Problem(422, "invalid", "A text of the form is not UTF-8: send it as that.") from None
        except msgspec.ValidationError as error:
            raise undecodable(error) from None

    def _hold_type(self, draft: Draft) -> None:
        """Raise `Problem` (415) where a file is of a type that is not taken."""
        name, media = self._part.name, self._upload.files[self._part.name].media
        if draft.media not in media and UNKNOWN not in media:
            called = "The body" if name == BODY else f"`{name}`"
            found = f"is {draft.media}" if draft.media != UNKNOWN else "begins like no file that is known"
            raise Problem(415, "wrong-type", f"{called} {found}, whatever it is called: send {' or '.join(media)}.")


def _expected(request: Request, upload: Upload) -> int:
    """How many bytes will come: what the request says, else as many as may; `Problem` (413) where that is too much."""
    length = request.headers.get("content-length", "")
    expected = int(length) if length.isdecimal() else upload.largest
    if expected > upload.largest:
        raise _too_large(upload)
    return expected


def _too_large(upload: Upload) -> Problem:
    return Problem(413, "too-large", f"The upload is longer than {upload.largest:,} bytes: send less at once.")


def _field_problem(name: str, what: str) -> Problem:
    pointer = "#/" + name[:64].replace("~", "~0").replace("/", "~1")
    return Problem(422, "invalid", f"{what}.", errors=[FieldError(pointer, what)])
