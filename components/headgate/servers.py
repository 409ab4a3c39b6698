"""The local servers: what is up, at which address, and how to start and stop it."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx

from headgate.errors import HeadgateError
from headgate.files import read_json, write_json
from headgate.settings import SAFE_PATH, Settings

#: What people call the servers.
TITLES = {"headgate": "Decisions", "mlflow": "MLflow", "prefect": "Prefect"}

#: How long a server may take until it answers its health route.
START_SECONDS = 120

#: How long a decision server may take until it has loaded the champions that there are.
LOAD_SECONDS = 60


@dataclass(frozen=True)
class Server:
    """A server to start: its command, the route that answers when it is up, and where people find it."""

    name: str  # a key of TITLES
    port: int
    command: list[str]
    health: str
    page: str
    environment: dict[str, str]

    @property
    def title(self) -> str:
        """What people call it."""
        return TITLES[self.name]

    @property
    def url(self) -> str:
        """Its address, without a path."""
        return str(httpx.URL(self.health).join("/")).rstrip("/")


def free_port(host: str, wanted: int) -> int:
    """`wanted`, or the next port that is free."""
    for port in range(wanted, min(wanted + 100, 65536)):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError:
                continue
            return port
    raise HeadgateError(f"No free port from {wanted} on {host}: set the HEADGATE_…PORT variables.")


def running(settings: Settings) -> dict[str, str]:
    """Addresses of the local servers that are up, by name; asks each for its health."""
    return {name: server["url"] for name, server in _recorded(settings).items() if _healthy(server["health"])}


def pages(settings: Settings) -> dict[str, str]:
    """Where people find the local servers that are up, by name."""
    there = running(settings)
    return {name: server["page"] for name, server in _recorded(settings).items() if name in there}


def tracking_uri(settings: Settings) -> str:
    """Where MLflow is: the server that was set, the local server if it is up, else the local database."""
    if settings.tracking_uri:
        return settings.tracking_uri
    return running(settings).get("mlflow") or settings.local_tracking_uri


def artifact_root(settings: Settings) -> str:
    """Where the runs of a new experiment keep their artifacts."""
    return settings.artifacts or (settings.mlflow_home / "artifacts").as_uri()


def mlflow_server(settings: Settings) -> Server:
    """MLflow on the local database, with the local artifacts."""
    from headgate.registry.databases import make_registry

    make_registry(settings)
    port = free_port(settings.host, settings.mlflow_port)
    command = [sys.executable, "-m", "mlflow", "server", "--host", settings.host, "--port", str(port)]
    command += ["--backend-store-uri", settings.local_tracking_uri, "--workers", "1"]
    command += ["--default-artifact-root", artifact_root(settings), "--no-serve-artifacts"]
    url = f"http://{settings.host}:{port}"
    return Server("mlflow", port, command, f"{url}/health", f"{url}/#/models", {})


def prefect_server(settings: Settings) -> Server:
    """Prefect with its database in the state folder."""
    port = free_port(settings.host, settings.prefect_port)
    url = f"http://{settings.host}:{port}"
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", settings.host, "--port", str(port)]
    environment = {"PREFECT_HOME": str(settings.home / "prefect"), "PREFECT_UI_API_URL": f"{url}/api"}
    environment["PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT"] = "false"
    return Server("prefect", port, command, f"{url}/api/health", f"{url}/runs", environment)


def decision_server(settings: Settings, domains: Sequence[str]) -> Server:
    """Headgate's own endpoints."""
    port = free_port(settings.host, settings.serve_port)
    url = f"http://{settings.host}:{port}"
    command = [sys.executable, "-m", "headgate.cli", "serve", *domains, "--host", settings.host, "--port", str(port)]
    return Server("headgate", port, command, f"{url}/healthz", f"{url}/docs", {})


def authorization() -> dict[str, str]:
    """What our own questions to endpoints show: HEADGATE_TOKEN, a token with the scope `read`, where one is set."""
    token = os.environ.get("HEADGATE_TOKEN")
    return {"Authorization": f"Bearer {token}"} if token else {}


def until_loaded(address: str, domains: Collection[str], seconds: float = LOAD_SECONDS) -> bool:
    """Wait until the decision server at `address` has a version of each of `domains`; whether that was in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with suppress(httpx.HTTPError):
            answer = httpx.get(f"{address}/v1/models", headers=authorization(), timeout=10, trust_env=False)
            models = answer.raise_for_status().json()
            if {model["domain"] for model in models if model["version"]} >= set(domains):
                return True
        time.sleep(0.2)
    return False


@contextmanager
def up(settings: Settings, servers: Sequence[Server]) -> Iterator[None]:
    """Start `servers`, wait until each is healthy, and stop them when the block ends."""
    with ExitStack() as stack:
        processes = [(server, stack.enter_context(_process(server, settings))) for server in servers]
        for server, process in processes:
            _wait(server, process, settings)
            _record(settings, server)
            stack.callback(_forget, settings, server)
        yield


@contextmanager
def _process(server: Server, settings: Settings) -> Iterator[subprocess.Popen[bytes]]:
    log = _log(server, settings)
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        process = subprocess.Popen(
            server.command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=os.environ | SAFE_PATH | server.environment,
            start_new_session=True,  # Ctrl-C reaches us, and we stop it in order
        )
    try:
        yield process
    finally:
        _stop(process)


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End the process and what it started: politely first."""
    import signal

    for sign, patience in ((signal.SIGTERM, 10), (signal.SIGKILL, 10)):
        try:
            os.killpg(process.pid, sign)
            process.wait(patience)
        except subprocess.TimeoutExpired:
            continue
        except ProcessLookupError:
            return
    # The leader is gone; workers it left behind go with the group.


def _wait(server: Server, process: subprocess.Popen[bytes], settings: Settings) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not _healthy(server.health):
        if process.poll() is not None or time.monotonic() > deadline:
            log = _log(server, settings)
            last = log.read_text(errors="replace").strip().splitlines()[-1:] or ["(it said nothing)"]
            raise HeadgateError(f"{server.title} did not start: {last[0][:300]} — its log is {log}.")
        time.sleep(0.2)


def _healthy(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


def _log(server: Server, settings: Settings) -> Path:
    return settings.home / "logs" / f"{server.name}.log"


def _recorded(settings: Settings) -> dict[str, dict[str, str]]:
    return read_json(settings.servers_file) if settings.servers_file.is_file() else {}


def _record(settings: Settings, server: Server) -> None:
    mine = {"url": server.url, "health": server.health, "page": server.page}
    write_json(settings.servers_file, _recorded(settings) | {server.name: mine})


def _forget(settings: Settings, server: Server) -> None:
    """Take `server` off the record, unless another of its name stands there by now."""
    known = _recorded(settings)
    if known.get(server.name, {}).get("url") == server.url:
        write_json(settings.servers_file, {name: known[name] for name in known if name != server.name})
