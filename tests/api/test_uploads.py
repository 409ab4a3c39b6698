"""Uploads on real sockets: what comes is what was sent, and nothing is left, however it ends."""

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from headgate.api import limits, receiving, upload_files
from headgate.api.forms import Begun, Ended, FormParser
from headgate.api.media import PNG, UNKNOWN
from headgate.api.upload_files import Uploads, sweep
from headgate.api.uploads import Files, Upload

from ..waiting import until
from .uploading import BOUNDARY, GLB_HEAD, JPEG_HEAD, PHOTOS, PNG_HEAD, Desk, Part, at, desk, form, post, put, said
from .wires import HANG, status, told

PHOTO = PNG_HEAD + os.urandom(3 << 20)
ITEM: Part = ("item", None, b"i-1")
PICTURE: Part = ("photo", "a.png", PNG_HEAD + b"x" * 50)


@pytest.fixture
def here(tmp_path: Path) -> Desk:
    return desk(tmp_path)


@pytest.fixture
def port(here: Desk) -> Iterator[int]:
    with at(here) as found:
        yield found
    assert here.left() == []


def test_files_and_texts_come_as_they_were_sent(here: Desk, port: int) -> None:
    jpeg = JPEG_HEAD + b"\r\n--" + BOUNDARY[:-1] + b"\r\n" * 40_000
    parts: list[Part] = [
        ("photo", "front é.png", PHOTO),
        ("item", None, "Käse".encode()),
        ("photo", "C:\\fake\\path/../b.jpg", jpeg),
        ("depth", "", b""),
        ("grams", None, b"12"),
    ]
    found = said(told(port, post(form(parts))))
    assert found["values"] == {"item": "Käse", "grams": 12}
    assert found["files"] == [
        ["photo", len(PHOTO), sha256(PHOTO).hexdigest(), "image/png", "front é.png", len(PHOTO)],
        ["photo", len(jpeg), sha256(jpeg).hexdigest(), "image/jpeg", "b.jpg", len(jpeg)],
    ]


def test_a_body_can_be_the_file_whatever_it_says_it_is(port: int) -> None:
    mesh = GLB_HEAD + os.urandom(100_000)
    assert said(told(port, put(mesh))) == [len(mesh), sha256(mesh).hexdigest(), "model/gltf-binary", "glTF"]
    chunked = b"PUT /scans/a HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer = told(port, chunked, *(b"%x\r\n%s\r\n" % (9, mesh[n : n + 9]) for n in range(0, 900, 9)), b"0\r\n\r\n")
    assert b"200 OK" in answer
    assert said(answer)[:2] == [900, sha256(mesh[:900]).hexdigest()]


@pytest.mark.parametrize(
    ("sent", "problem"),
    [
        pytest.param(post(form([ITEM]), length=65 << 20), (413, "too-large"), id="too large by its head"),
        pytest.param(post(form([ITEM, ("photo", "a", b"GIF89a" + b"x" * 99)])), (415, "wrong-type"), id="a wrong type"),
        pytest.param(post(form([ITEM, ("photo", "a.png", b"")])), (415, "wrong-type"), id="no bytes"),
        pytest.param(post(form([ITEM, ("photo", "a.png", PNG_HEAD[:7])])), (415, "wrong-type"), id="too few to tell"),
        pytest.param(put(PNG_HEAD + b"x" * 99, b"model/gltf-binary"), (415, "wrong-type"), id="a lie"),
        pytest.param(put(b""), (415, "wrong-type"), id="an empty body"),
        pytest.param(
            put(form([PICTURE]), b"multipart/form-data; boundary=x"), (415, "wrong-type"), id="a form for a file"
        ),
        pytest.param(post(b"{}").replace(b"multipart/form-data", b"application/json"), (415, "wrong-type"), id="JSON"),
        pytest.param(post(form([ITEM, PICTURE])[:-9]), (400, "malformed"), id="no end"),
        pytest.param(post(form([PICTURE], b"other")), (400, "malformed"), id="another boundary"),
        pytest.param(post(b"").replace(b"; boundary=", b"; b="), (400, "malformed"), id="no boundary"),
        pytest.param(post(b"", boundary=b"x" * 5000), (400, "malformed"), id="a boundary without end"),
        pytest.param(post(form([ITEM, PICTURE]).replace(b"; name", b"; n")), (400, "malformed"), id="no name"),
        pytest.param(post(form([ITEM, PICTURE, ("x~/", "a", b"")])), (422, "invalid"), id="an unknown file"),
        pytest.param(post(form([ITEM, PICTURE, ("x", None, b"")])), (422, "invalid"), id="an unknown text"),
        pytest.param(post(form([ITEM, ("photo", None, b"x")])), (422, "invalid"), id="a text for a file"),
        pytest.param(post(form([PICTURE, ("item", "a", b"x")])), (422, "invalid"), id="a file for a text"),
        pytest.param(post(form([ITEM, ITEM, PICTURE])), (422, "invalid"), id="a text twice"),
        pytest.param(post(form([ITEM, *[PICTURE] * 4])), (422, "invalid"), id="too many files"),
        pytest.param(post(form([ITEM])), (422, "invalid"), id="a file is missing"),
        pytest.param(post(form([PICTURE])), (422, "invalid"), id="a text is missing"),
        pytest.param(post(form([ITEM, PICTURE, ("grams", None, b"much")])), (422, "invalid"), id="a text is no number"),
        pytest.param(post(form([("item", None, b"\xff"), PICTURE])), (422, "invalid"), id="a text is no text"),
        pytest.param(post(form([("item", None, b"x" * 70_000), PICTURE])), (413, "too-large"), id="a long text"),
    ],
)
def test_what_is_not_taken_gets_its_problem_and_leaves_nothing(
    port: int, sent: bytes, problem: tuple[int, str]
) -> None:
    answer = told(port, sent)
    found = said(answer)
    assert (status(answer), found["type"]) == (problem[0], f"/docs#{problem[1]}")
    assert found["detail"].endswith(".")
    if problem[0] == 422 and "errors" in found:
        assert found["errors"][0]["pointer"].startswith("#/")


def test_a_body_that_grows_too_large_is_refused_before_its_end(port: int) -> None:
    head = b"PUT /scans/a HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunk = b"10000\r\n" + GLB_HEAD * 8192 + b"\r\n"
    assert status(told(port, head, *[chunk] * 17)) == 413


def test_what_its_head_refuses_is_not_asked_for_its_body(port: int) -> None:
    asked = post(b"", length=65 << 20).replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n")
    answer = told(port, asked)
    assert b"100 Continue" not in answer
    assert status(answer) == 413


def test_one_that_goes_leaves_nothing(here: Desk, port: int) -> None:
    body = form([ITEM, ("photo", "a.png", PHOTO)])
    with socket.create_connection(("127.0.0.1", port), timeout=HANG) as line:
        line.sendall(post(body)[:2_500_000])
        until(lambda: any(path.stat().st_size for path in here.root.glob("*/*/*")))
    until(lambda: not here.left())
    assert status(told(port, post(body))) == 200


def test_a_slow_one_is_refused_in_words(here: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receiving, "START_SECONDS", 0.1)
    with at(here) as port:
        answer = told(port, post(form([ITEM, PICTURE]))[:-9])
        assert (status(answer), said(answer)["type"]) == (408, "/docs#too-slow")
    assert here.left() == []


def test_an_upload_may_take_longer_than_other_requests_while_it_keeps_its_rate(
    here: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "ARRIVE_SECONDS", 0.1)
    monkeypatch.setattr(receiving, "START_SECONDS", 0.1)
    here.photos = replace(PHOTOS, seconds=20.0, rate=1.0)
    sent = post(form([ITEM, PICTURE]))
    head, _, body = sent.partition(b"\r\n\r\n")
    with at(here) as port, socket.create_connection(("127.0.0.1", port), timeout=HANG) as line:
        line.sendall(head + b"\r\n\r\n" + body[:100])
        for start in range(100, len(body), 100):
            line.sendall(body[start : start + 100])
            with socket.create_connection(("127.0.0.1", port), timeout=HANG) as other:  # waits as long as a request may
                assert other.recv(1) == b""
        assert b"200 OK" in line.recv(65_536)
    here.photos = replace(PHOTOS, seconds=0.3)
    with at(here) as port:
        assert status(told(port, sent[:-9])) == 408


def test_so_many_uploads_are_taken_at_once_and_the_next_is_told_when(tmp_path: Path) -> None:
    here = desk(tmp_path, most=2)
    whole = post(form([ITEM, PICTURE]))
    with at(here) as port:
        lines = [socket.create_connection(("127.0.0.1", port), timeout=HANG) for _ in range(2)]
        for line in lines:
            line.sendall(whole[:-9])
        until(lambda: len(here.left()) == 2)
        answer = told(port, whole)
        assert (status(answer), said(answer)["type"]) == (503, "/docs#busy")
        assert b"retry-after: 2" in answer
        for line in lines:
            line.sendall(whole[-9:])
            assert b"200 OK" in line.recv(65_536)
            line.close()
        assert status(told(port, whole)) == 200
    assert here.left() == []


def test_a_disk_that_is_nearly_full_takes_no_upload(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = desk(tmp_path)
    here.uploads = Uploads(here.root, reserve=1 << 60)
    with at(here) as port:
        answer = told(port, post(form([ITEM, PICTURE])))
        assert (status(answer), said(answer)["type"]) == (507, "/docs#no-room")
    assert here.left() == []


def test_a_disk_that_fills_up_meanwhile_is_told_too(here: Desk, port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Any, data: memoryview) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(upload_files.Draft, "write", full)
    assert status(told(port, post(form([ITEM, PICTURE])))) == 507


def pieces(body: bytes, cuts: Sequence[int]) -> list[bytes]:
    edges = [0, *sorted(min(cut, len(body)) for cut in cuts), len(body)]
    return [body[start:end] for start, end in pairwise(edges)]


def parsed(sent: Sequence[bytes], boundary: bytes) -> list[Part]:
    parser = FormParser(f"multipart/form-data; boundary={boundary.decode()}")
    found: list[Part] = []
    data = bytearray()
    for piece in sent:
        for event in parser.feed(piece):
            if isinstance(event, Begun):
                begun, data = event, bytearray()
            elif isinstance(event, Ended):
                found.append((begun.name, begun.filename, bytes(data)))
            else:
                data += event
    parser.finish()
    return found


#: What looks like the end of a part, and bytes of all kinds.
DATA = st.lists(
    st.sampled_from(
        [b"\r", b"\n", b"\r\n", b"--", b"\r\n--", b"\r\n--bound", b"--bound", b"\r\n--boundary", b"\x00", b"x"]
    )
    | st.binary(max_size=9),
    max_size=12,
).map(b"".join)


@given(
    parts=st.lists(
        st.tuples(st.sampled_from(["a", "é b"]), st.none() | st.just("f.png"), DATA), min_size=1, max_size=4
    ),
    cuts=st.lists(st.integers(0, 600), max_size=9),
)
def test_a_form_is_the_same_however_it_is_cut(parts: list[Part], cuts: list[int]) -> None:
    boundary = b"boundary-" + sha256(repr(parts).encode()).hexdigest()[:8].encode()
    body = form(parts, boundary)
    assert parsed(pieces(body, cuts), boundary) == parts
    assert parsed([body[n : n + 1] for n in range(len(body))], boundary) == parts


@hypothesis_settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.lists(st.integers(0, 900), max_size=5))
def test_an_upload_is_the_same_in_whatever_packets_it_comes(port: int, cuts: list[int]) -> None:
    depth = PNG_HEAD + b"\r\n--" + BOUNDARY[:-1]
    parts = [ITEM, PICTURE, ("depth", "d", depth), ("photo", "b", JPEG_HEAD)]
    found = said(told(port, *pieces(post(form(parts)), cuts)))
    assert [(one[0], one[2]) for one in found["files"]] == [
        (name, sha256(data).hexdigest()) for name, file, data in parts if file is not None
    ]


KILLED = """
import asyncio, sys
from pathlib import Path
from headgate.api.upload_files import Uploads
async def hold():
    async with Uploads(Path(sys.argv[1]), reserve=0).folder(1) as folder:
        (folder / "0").write_bytes(b"secret")
        print(folder, flush=True)
        await asyncio.sleep(600)
asyncio.run(hold())
"""


def test_what_a_killed_process_left_is_removed_and_what_a_living_one_holds_is_not(tmp_path: Path) -> None:
    command = [sys.executable, "-c", KILLED, str(tmp_path)]
    held = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    try:
        dead, living = (Path(process.stdout.readline().strip()) for process in held if process.stdout)
        held[0].kill()
        held[0].wait()
        sweep(tmp_path)
        assert not dead.parent.exists()
        assert (living / "0").read_bytes() == b"secret"
        os.utime(living, (0, 0))
        sweep(tmp_path)
        assert not living.exists(), "nothing takes so long"
    finally:
        for process in held:
            process.kill()
            process.communicate()


def test_while_the_app_lives_it_sweeps_and_in_the_end_nothing_of_it_is_left(tmp_path: Path) -> None:
    (tmp_path / "1-dead/1").mkdir(parents=True)

    async def live() -> None:
        uploads = Uploads(tmp_path, reserve=0)
        async with uploads.beside():
            async with uploads.folder(1):
                assert len(list(tmp_path.glob("*/*"))) >= 1
            while (tmp_path / "1-dead").exists():
                await asyncio.sleep(0)

    asyncio.run(asyncio.wait_for(live(), HANG))
    assert list(tmp_path.iterdir()) == []


def test_what_could_never_be_is_told_where_it_is_declared() -> None:
    with pytest.raises(ValueError, match="image/gif"):
        Files(("image/gif",))
    with pytest.raises(ValueError, match="ends within"):
        Upload({"a": Files((PNG,))}, 1, seconds=1e9)
    Files((UNKNOWN,))
