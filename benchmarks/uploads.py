"""Uploads: what 32 MiB cost the server, and what a light request beside them waits.

    python benchmarks/uploads.py [--rounds 5] [--mib 32] [--out FILE]

A server as `headgate serve` starts it, with three ways to take the same bytes: a form and a plain body as
`headgate.api.receiving` takes them, and the loop `body += chunk` that took every body before. Rounds alternate. Beside
the uploads one client asks a light route, over one connection, each 4 ms at the earliest.
"""

import argparse
import http.client
import os
import platform
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

WAYS = ("form", "body", "old loop")
BOUNDARY = b"----benchmark"
PNG = b"\x89PNG\r\n\x1a\n"


def serve(folder: Path, port: int) -> None:
    """Serve until the process is ended."""
    import uvicorn
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

    from headgate.api.endpoints import Endpoint, Operation, json
    from headgate.api.receiving import received
    from headgate.api.upload_files import Uploads
    from headgate.api.uploads import BODY, Files, Upload
    from headgate.serving.process import SWITCH, http

    taken = Upload({BODY: Files(("image/png",)), "photo": Files(("image/png",))}, largest=1 << 30, seconds=600)

    async def ours(request: Request) -> Response:
        async with received(request, taken) as form:
            return json(form.files[0].size)

    async def old(request: Request) -> Response:
        body = b""
        async for chunk in request.stream():
            body += chunk
        return json(len(body))

    async def light(request: Request) -> Response:
        return json(time.process_time())

    def route(method: Any, path: str, handler: Any) -> Endpoint:
        return Endpoint(method, path, handler, Operation("", "", None))

    app = Starlette(routes=[route("POST", "/ours", ours), route("POST", "/old", old), route("GET", "/light", light)])
    app.state.uploads = Uploads(folder, reserve=0)
    sys.setswitchinterval(SWITCH)
    uvicorn.run(app, port=port, **http())


@contextmanager
def server() -> Iterator[int]:
    """The port of a server in a process of its own."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen([sys.executable, __file__, "--serve", folder, "--port", str(port)])
        try:
            for _ in range(600):
                try:
                    light(port)
                    break
                except OSError:
                    time.sleep(0.05)
            yield port
        finally:
            process.terminate()
            process.wait(20)


def light(port: int) -> float:
    """Ask the light route; the CPU seconds of the server so far."""
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    line.request("GET", "/light")
    return float(line.getresponse().read())


def upload(port: int, way: str, data: bytes) -> None:
    """Send `data` in one of the `WAYS`."""
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
    if way == "form":
        head = b'--%s\r\nContent-Disposition: form-data; name="photo"; filename="a.png"\r\n\r\n' % BOUNDARY
        body = b"%s%s\r\n--%s--\r\n" % (head, data, BOUNDARY)
        kind = f"multipart/form-data; boundary={BOUNDARY.decode()}"
    else:
        body, kind = data, "image/png"
    line.request("POST", "/old" if way == "old loop" else "/ours", body, {"Content-Type": kind})
    answer = line.getresponse()
    assert answer.status == 200, answer.read()
    assert int(answer.read()) == len(data)


def beside(port: int, until: Callable[[], bool]) -> list[float]:
    """How long the light route takes, in ms, one request after the other."""
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
    waited = []
    while not until():
        began = time.perf_counter()
        line.request("GET", "/light")
        line.getresponse().read()
        waited.append((time.perf_counter() - began) * 1e3)
        time.sleep(max(0.0, 0.004 - waited[-1] / 1e3))
    return waited


def alone(port: int, seconds: float) -> list[float]:
    """The light route with nothing beside it."""
    end = time.perf_counter() + seconds
    return beside(port, lambda: time.perf_counter() > end)


def one_round(port: int, way: str, data: bytes) -> tuple[float, float]:
    """CPU seconds of the server for one upload, and how long it took."""
    cpu, began = light(port), time.perf_counter()
    upload(port, way, data)
    return light(port) - cpu, time.perf_counter() - began


def with_light(port: int, way: str, data: bytes, times: int) -> list[float]:
    """What the light route takes while `times` uploads follow each other, sent by a process of its own."""
    code = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import uploads; "
    code += f"data = uploads.PNG + bytes({len(data) - len(PNG)}); [uploads.upload({port}, {way!r}, data) for _ in range({times})]"
    sending = subprocess.Popen([sys.executable, "-c", code])
    found = beside(port, lambda: sending.poll() is not None)
    assert sending.returncode == 0
    return found


def quantile(values: list[float], q: float) -> float:
    return sorted(values)[min(int(q * len(values)), len(values) - 1)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--mib", type=int, default=32)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.serve:
        serve(asked.serve, asked.port)
        return
    data = PNG + os.urandom((asked.mib << 20) - len(PNG))
    costs: dict[str, list[tuple[float, float]]] = {way: [] for way in WAYS}
    waits: dict[str, list[float]] = {way: [] for way in ("nothing", *WAYS)}
    with server() as port:
        for way in WAYS:
            upload(port, way, data[: 1 << 20])
        for _ in range(asked.rounds):
            for way in WAYS:
                costs[way].append(one_round(port, way, data))
        for _ in range(asked.rounds):
            waits["nothing"] += alone(port, 3.0)
            for way in WAYS:
                waits[way] += with_light(port, way, data, 1 if way == "old loop" else 8)
    text = report(asked, costs, waits)
    asked.out.write_text(text)
    print(text)


def report(asked: Any, costs: dict[str, list[tuple[float, float]]], waits: dict[str, list[float]]) -> str:
    cpus = next((line for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line), ":?")
    told = ", ".join(f"{one} {version(one)}" for one in ("uvicorn", "uvloop", "httptools", "python-multipart"))
    lines = [
        "# Uploads",
        "",
        f"    python benchmarks/uploads.py --rounds {asked.rounds} --mib {asked.mib}",
        "",
        f"{cpus.split(':')[1].strip()}, {os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f}; Python {platform.python_version()}, {told}.",
        "",
        f"One upload of {asked.mib} MiB, {asked.rounds} alternating rounds: median (least to most). The CPU is all that "
        "the server's process takes, its SHA-256 and its writing in threads included; the old loop gathers it in memory "
        "and does neither.",
        "",
        "| | CPU, s | until answered, s |",
        "|---|---|---|",
    ]
    for way, found in costs.items():
        cells = [f"{statistics.median(one):.3f} ({min(one):.3f} to {max(one):.3f})" for one in zip(*found, strict=True)]
        lines.append(f"| {way} | {' | '.join(cells)} |")
    lines += [
        "",
        "A light request (`GET`, no work) on the same server while uploads follow each other, in ms:",
        "",
        "| beside | requests | p50 | p99 | most |",
        "|---|---|---|---|---|",
    ]
    for way, times in waits.items():
        cells = [f"{quantile(times, q):.2f}" for q in (0.5, 0.99, 1.0)]
        lines.append(f"| {way} | {len(times):,} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
