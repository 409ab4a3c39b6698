"""The processes that serve: one, or several workers that share a port, Redis and the registry, and nothing else."""

import os
import resource
import sys
from collections.abc import Sequence
from dataclasses import replace
from tempfile import TemporaryDirectory
from typing import Any

from starlette.applications import Starlette

from headgate import telemetry
from headgate.domain import get_domain
from headgate.errors import UsageError
from headgate.serving.redis import connect
from headgate.settings import SAFE_PATH, Settings, load

#: What a worker serves and listens on, handed to it by its parent.
_DOMAINS, _HOST = "HEADGATE_WORKER_DOMAINS", "HEADGATE_WORKER_HOST"

#: Where prometheus_client adds up what several processes count.
_SHARED_METRICS = "PROMETHEUS_MULTIPROC_DIR"

#: Connections of a process at most; beyond them it answers 503.
CONNECTIONS = 16_384

#: Seconds for which a thread in the background may keep the interpreter from a request (5 ms in Python's own setting).
SWITCH = 0.0001

#: Seconds that requests in flight have once the process is told to end.
GRACE = 10


def run(domains: Sequence[str], host: str, port: int, workers: int = 1) -> None:
    """Serve `domains` on `host`:`port` until a signal ends the process. A worker that dies is replaced.

    Raises UsageError where several workers would each count for themselves.
    """
    import uvicorn

    settings = load()
    if workers > 1 and settings.redis is None:
        raise UsageError(
            "Several workers must share their counters: start a Redis and set HEADGATE_REDIS=redis://HOST:PORT, "
            "or serve with one worker."
        )
    if settings.redis:
        connect(settings.redis)  # an address that is none is told before the workers start
    telemetry.configure(settings.log)
    _raise_limit_of_files()
    print(f"{', '.join(domains)} on http://{host}:{port}  (Ctrl-C stops)", flush=True)
    os.environ |= {_DOMAINS: ",".join(domains), _HOST: host} | SAFE_PATH
    with TemporaryDirectory(prefix="headgate-metrics-") as shared:
        if workers > 1:
            os.environ[_SHARED_METRICS] = shared  # read by prometheus_client as a worker imports it
        uvicorn.run(
            "headgate.serving.process:worker",
            factory=True,
            workers=workers,
            host=host,
            port=port,
            limit_concurrency=CONNECTIONS,
            timeout_graceful_shutdown=GRACE,
            **http(),
        )


def http() -> dict[str, Any]:
    """How uvicorn speaks HTTP: what a decision is measured with, and an empty route beside it."""
    from headgate.api.limits import BoundedHttp

    return {
        "loop": "uvloop",
        "http": BoundedHttp,
        "ws": "none",
        "access_log": False,
        "log_config": None,
        # What a sender says about where it comes from is not believed: an address is what its rate is counted by.
        "proxy_headers": False,
        "server_header": False,
    }


def worker() -> Starlette:
    """The app of one process."""
    from headgate.serving.app import build

    settings: Settings = replace(load(), host=os.environ[_HOST])
    telemetry.configure(settings.log)
    sys.setswitchinterval(SWITCH)
    return build([get_domain(name) for name in os.environ[_DOMAINS].split(",")], settings)


def _raise_limit_of_files() -> None:
    """Let the process hold as many connections as the system lets it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * CONNECTIONS if hard == resource.RLIM_INFINITY else min(hard, 2 * CONNECTIONS)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
