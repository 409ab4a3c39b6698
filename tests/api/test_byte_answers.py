"""Answers that are bytes: the whole, a part, nothing new; of memory and of a file alike."""

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response

from headgate.api.byte_answers import FOREVER, NEVER, answer_bytes, answer_file
from headgate.api.endpoints import Endpoint, Operation
from headgate.api.media import GLB
from headgate.api.problems import Problem, on_problem

from .wires import listening

DATA = bytes(range(256)) * 4000
DIGEST = sha256(DATA).hexdigest()
ETAG = f'"{DIGEST}"'


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    import httpx

    path = tmp_path_factory.mktemp("files") / "a.glb"
    path.write_bytes(DATA)

    async def memory(request: Request) -> Response:
        return answer_bytes(request, DATA, GLB, cache=FOREVER, filename="mésh\r\n;.glb")

    async def file(request: Request) -> Response:
        there = Path(request.query_params.get("path", path))
        return await answer_file(request, there, GLB, digest=DIGEST, cache=NEVER)

    routes = [Endpoint("GET", "/memory", memory, Operation("", "", None))]
    routes.append(Endpoint("GET", "/file", file, Operation("", "", None)))
    with listening(Starlette(routes=routes, exception_handlers={Problem: on_problem})) as port:
        yield httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False)


both = pytest.mark.parametrize("where", ["/memory", "/file"])


@both
def test_the_whole_is_answered_with_what_browsers_need(client: Any, where: str) -> None:
    answer = client.get(where)
    assert (answer.status_code, answer.content) == (200, DATA)
    assert answer.headers["etag"] == ETAG
    assert answer.headers["content-type"] == GLB
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in answer.headers["content-security-policy"]
    assert answer.headers["cache-control"] == (FOREVER if where == "/memory" else NEVER)
    assert answer.headers["content-disposition"].startswith("inline")
    head = client.head(where)
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", str(len(DATA)))


def test_a_name_of_a_file_breaks_no_header(client: Any) -> None:
    said = client.get("/memory").headers["content-disposition"]
    assert said == "inline; filename*=UTF-8''m%C3%A9sh%0D%0A%3B.glb"


@both
@pytest.mark.parametrize("known", [ETAG, f'"x", W/{ETAG}', "*"])
def test_what_is_known_is_not_sent_again(client: Any, where: str, known: str) -> None:
    answer = client.get(where, headers={"if-none-match": known, "range": "bytes=0-1"})
    assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", ETAG)
    assert client.get(where, headers={"if-none-match": '"other"'}).status_code == 200


@both
@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=5-", 5, len(DATA)),
        ("bytes=-7", len(DATA) - 7, len(DATA)),
        (f"bytes=10-{len(DATA) * 2}", 10, len(DATA)),
        (f"bytes=-{len(DATA) * 2}", 0, len(DATA)),
        ("Bytes=100-999999", 100, 1_000_000),
    ],
)
def test_a_part_is_answered(client: Any, where: str, asked: str, start: int, end: int) -> None:
    for more in ({}, {"if-range": ETAG}):
        answer = client.get(where, headers={"range": asked} | more)
        assert (answer.status_code, answer.content) == (206, DATA[start:end])
        assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/{len(DATA)}"
        assert answer.headers["content-length"] == str(end - start)


@both
@pytest.mark.parametrize("asked", ["bytes=5-2", "bytes=-", "lines=0-1", "bytes=0-1,5-6", "bytes", "bytes=a-b", ""])
def test_what_is_no_range_is_passed_over(client: Any, where: str, asked: str) -> None:
    answer = client.get(where, headers={"range": asked})
    assert (answer.status_code, answer.content) == (200, DATA)


@both
def test_a_part_of_what_was_there_before_is_no_part_of_what_is_there_now(client: Any, where: str) -> None:
    answer = client.get(where, headers={"range": "bytes=0-1", "if-range": '"other"'})
    assert (answer.status_code, len(answer.content)) == (200, len(DATA))


@both
@pytest.mark.parametrize("asked", [f"bytes={len(DATA)}-", "bytes=-0", "bytes=999999999-9999999999"])
def test_a_part_beyond_the_end_is_refused(client: Any, where: str, asked: str) -> None:
    answer = client.get(where, headers={"range": asked})
    assert (answer.status_code, answer.json()["type"]) == (416, "/docs#range")
    assert answer.headers["content-range"] == f"bytes */{len(DATA)}"


def test_a_file_that_is_gone_is_told(client: Any, tmp_path: Path) -> None:
    for gone in (tmp_path / "no", tmp_path):
        assert client.get("/file", params={"path": str(gone)}).status_code == 404
