"""Kill a process with SIGKILL at its n-th external write, to see what the next one finds.

An external write is a commit of a transaction that wrote (any SQLAlchemy engine: ledger, MLflow's store), an HTTP
request that writes (through urllib3: MLflow's client, boto3; through httpx: Prefect's), or a rename. Each is met
*before* it happens: what stood when the n-th is met is what the one before it left, so all n together leave no state
out. Where it is asked for (kind "erase"), so are what removes or overwrites: unlink and pwrite.

For a function, `outcome = run(n, function, *arguments)`: in a process of its own, forked from one that has imported
the heavy libraries already. For a command line, `command(n, "headgate.cli", "retrain", …)`. With n = 0 nothing is
killed and the writes are counted.
"""

import multiprocessing
import os
import re
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cache
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
KINDS = ("commit", "http", "rename")

#: Statements that write nothing, and HTTP methods that do not.
READS = ("SELECT", "PRAGMA", "BEGIN", "SHOW", "WITH")
SAFE = ("GET", "HEAD", "OPTIONS")

#: Prefect asks by POST, and sends logs when it likes: two runs alike would not write alike often.
ASKS = re.compile(r"/(filter|count|logs)(/|$)")


def points(count: int, every: bool) -> list[int]:
    """At which of `count` writes to kill: at every one, or at the first, one in the middle and the last."""
    return list(range(1, count + 1)) if every else sorted({1, (count + 2) // 2, count})


#: Three points wherever tests run, all of them at night.
SOME_OR_ALL = pytest.mark.parametrize(
    "every", [pytest.param(False, id="three points"), pytest.param(True, id="all", marks=pytest.mark.nightly)]
)


@dataclass(frozen=True)
class Outcome:
    """How a run ended: at its n-th write, or by itself after so many."""

    killed: bool
    writes: int


def run(n: int, work: Callable[..., Any], *arguments: Any, kinds: Collection[str] = KINDS) -> Outcome:
    """Call `work` (of a module's top level) in a process that kills itself at its `n`-th write; 0 only counts them.

    The environment is this process's of when the first such process was started: hand settings over as arguments.
    """
    here, there = _server().Pipe()
    process = _server().Process(target=_armed, args=(there, n, tuple(kinds), work, arguments))
    process.start()
    there.close()
    try:
        said = here.recv()
    except EOFError:
        said = None
    process.join(60)
    if isinstance(said, str):
        raise AssertionError(f"{work.__name__} failed before write {n}:\n{said}")
    if said is None and process.exitcode != -signal.SIGKILL:
        raise AssertionError(f"{work.__name__} ended with {process.exitcode}, not by SIGKILL")
    return Outcome(True, n - 1) if said is None else Outcome(False, said)


def command(
    n: int,
    module: str,
    *arguments: str,
    env: Mapping[str, str],
    kinds: Collection[str] = KINDS,
    after: str = "",
    timeout: float = 600,
) -> Outcome:
    """`python -m module arguments` in a process that kills itself at its `n`-th write; 0 only counts them.

    With `after`, the writes that come after the first rename to a file or folder of that name.
    """
    line = [sys.executable, __file__, str(n), ",".join(kinds), after, module, *arguments]
    done = subprocess.run(line, env=dict(env), cwd=ROOT, capture_output=True, text=True, timeout=timeout, check=False)
    if done.returncode == -signal.SIGKILL:
        return Outcome(True, n - 1)
    told = re.findall(r"^writes: (\d+)$", done.stderr, re.MULTILINE)
    if not told:
        raise AssertionError(f"{module} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return Outcome(False, int(told[-1]))


def process(work: Callable[..., Any], *arguments: Any) -> tuple[Any, Connection]:
    """Start `work(pipe, *arguments)` in a process of its own, forked in the same way; it, and our end of the pipe."""
    here, there = _server().Pipe()
    started = _server().Process(target=work, args=(there, *arguments))
    started.start()
    there.close()
    return started, here


def arm(n: int, kinds: Collection[str] = KINDS, after: str = "") -> Callable[[], int]:
    """Let this process kill itself at its `n`-th write, or never for 0; a function that says how many there were."""
    count, begun = 0, not after

    def write() -> None:
        nonlocal count
        count += begun
        if begun and count == n:
            os.kill(os.getpid(), signal.SIGKILL)

    if "commit" in kinds:
        _before_commits(write)
    if "http" in kinds:
        _before_requests(write)
    if "erase" in kinds:
        _before_erasures(write)

    def rename(target: Any) -> None:
        nonlocal begun
        if "rename" in kinds:
            write()
        begun = begun or Path(target).name == after

    _before_renames(rename)
    return lambda: count


def _before_commits(write: Callable[[], None]) -> None:
    from sqlalchemy import Engine, event

    @event.listens_for(Engine, "before_cursor_execute")
    def _noted(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        if not statement.lstrip(" \n(").upper().startswith(READS):
            connection.info["wrote"] = True

    @event.listens_for(Engine, "commit")
    def _commit(connection: Any) -> None:
        if connection.info.pop("wrote", False):
            write()

    @event.listens_for(Engine, "rollback")
    def _rollback(connection: Any) -> None:
        connection.info.pop("wrote", None)


def _before_erasures(write: Callable[[], None]) -> None:
    def before(name: str) -> None:
        whole = getattr(os, name)

        def erase(*arguments: Any, **named: Any) -> Any:
            write()
            return whole(*arguments, **named)

        setattr(os, name, erase)

    before("unlink")
    before("pwrite")


def _before_requests(write: Callable[[], None]) -> None:
    import httpx
    from urllib3.connectionpool import HTTPConnectionPool

    send = HTTPConnectionPool.urlopen

    def urlopen(self: Any, method: str, *arguments: Any, **named: Any) -> Any:
        if method.upper() not in SAFE:
            write()
        return send(self, method, *arguments, **named)

    HTTPConnectionPool.urlopen = urlopen  # type: ignore[method-assign]

    handle, handle_async = httpx.HTTPTransport.handle_request, httpx.AsyncHTTPTransport.handle_async_request

    def noted(request: httpx.Request) -> None:
        if request.method not in SAFE and not ASKS.search(request.url.path):
            write()

    def sync(self: Any, request: httpx.Request) -> httpx.Response:
        noted(request)
        return handle(self, request)

    async def later(self: Any, request: httpx.Request) -> httpx.Response:
        noted(request)
        return await handle_async(self, request)

    httpx.HTTPTransport.handle_request = sync  # type: ignore[method-assign]
    httpx.AsyncHTTPTransport.handle_async_request = later  # type: ignore[method-assign]


def _before_renames(write: Callable[[Any], None]) -> None:
    from headgate import files

    def before(owner: Any, name: str) -> None:
        whole = getattr(owner, name)

        def renamed(draft: Any, target: Any, **named: Any) -> Any:
            write(target)
            return whole(draft, target, **named)

        setattr(owner, name, renamed)

    for owner, name in ((os, "replace"), (os, "rename"), (files, "_exchange")):
        before(owner, name)


def _armed(pipe: Connection, n: int, kinds: Collection[str], work: Callable[..., Any], arguments: Any) -> None:
    written = arm(n, kinds)
    try:
        work(*arguments)
        pipe.send(written())
    except BaseException:
        pipe.send(traceback.format_exc())


@cache
def _server() -> Any:
    """A server that forks: every process starts with the heavy libraries imported and no thread running."""
    if str(ROOT) not in sys.path:
        sys.path.append(str(ROOT))
    context = multiprocessing.get_context("forkserver")
    heavy = ["mlflow", "mlflow.store.model_registry.sqlalchemy_store", "headgate.registry.registrar"]
    context.set_forkserver_preload(heavy)
    return context


def _main() -> None:
    import runpy

    sys.path.append(str(ROOT))  # for programs among the tests
    n, kinds, after, module = int(sys.argv[1]), sys.argv[2].split(","), *sys.argv[3:5]
    written = arm(n, kinds, after)
    sys.argv = [module, *sys.argv[5:]]
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    finally:
        print(f"writes: {written()}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    _main()
