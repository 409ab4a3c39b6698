"""Redis servers for tests: started where a test needs one, each on a socket of its own, with nothing on disk."""

import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

#: How long a server may take until it answers, and until it has stopped.
PATIENCE = 20.0


@dataclass
class Server:
    """A server that listens on the socket `path`; it can be killed, stopped for a while and started again."""

    path: Path
    process: subprocess.Popen | None = None
    more: Mapping[str, str] = field(default_factory=dict)  # its other options

    @property
    def url(self) -> str:
        return f"unix://{self.path}"

    def start(self) -> None:
        options = {
            "port": "0",
            "unixsocket": str(self.path),
            "save": "",
            "appendonly": "no",
            "dir": str(self.path.parent),
            **self.more,
        }
        flags = [part for name, value in options.items() for part in (f"--{name}", value)]
        self.process = subprocess.Popen(
            ["redis-server", *flags], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL
        )
        deadline = time.monotonic() + PATIENCE
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("Redis did not start")
            time.sleep(0.01)

    def send(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        self.send(signal.SIGKILL)
        assert self.process is not None
        self.process.wait(PATIENCE)

    def _answers(self) -> bool:
        with suppress(OSError), closing(socket.socket(socket.AF_UNIX)) as there:
            there.settimeout(1)
            there.connect(str(self.path))
            there.sendall(b"PING\r\n")
            return there.recv(7) == b"+PONG\r\n"
        return False


@contextmanager
def encrypted() -> Iterator[str]:
    """The address of a server that speaks TLS with a certificate of an authority of its own, for the block."""
    if shutil.which("openssl") is None:
        pytest.skip("OpenSSL is not installed: apt-get install openssl")
    with tempfile.TemporaryDirectory() as folder, closing(socket.socket()) as free:
        key, certificate = f"{folder}/key.pem", f"{folder}/certificate.pem"
        names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
        make = ["openssl", "req", "-x509", "-nodes", "-newkey", "rsa:2048", "-days", "1", *names]
        subprocess.run([*make, "-keyout", key, "-out", certificate], check=True, capture_output=True, timeout=PATIENCE)
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
        free.close()
        more = {"tls-port": port, "tls-cert-file": certificate, "tls-key-file": key, "tls-auth-clients": "no"}
        with running({**more, "tls-ca-cert-file": certificate}):
            yield f"rediss://127.0.0.1:{port}?ssl_ca_certs={certificate}"


@contextmanager
def running(more: Mapping[str, str] | None = None) -> Iterator[Server]:
    """A server for the block, with `more` options; skips where Redis is not installed."""
    if shutil.which("redis-server") is None:
        pytest.skip("Redis is not installed: apt-get install redis-server")
    folder = Path(tempfile.mkdtemp(prefix="headgate-redis-", dir="/tmp"))  # a socket's path must be short
    server = Server(folder / "redis.sock", more=more or {})
    try:
        server.start()
        yield server
    finally:
        if server.process is not None and server.process.poll() is None:
            server.send(signal.SIGCONT)
            server.kill()
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def cluster(nodes: int = 3) -> Iterator[str]:
    """The address of a cluster of so many primaries, for the block."""
    if shutil.which("redis-cli") is None:
        pytest.skip("Redis is not installed: apt-get install redis-server")
    with ExitStack() as stack:
        addresses = []
        for _ in range(nodes):
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="headgate-redis-"))
            addresses.append(f"127.0.0.1:{stack.enter_context(_node(folder))}")
        make = ["redis-cli", "--cluster", "create", *addresses, "--cluster-replicas", "0", "--cluster-yes"]
        subprocess.run(make, check=True, capture_output=True, timeout=PATIENCE)
        deadline = time.monotonic() + PATIENCE
        for address in addresses:
            ask = ["redis-cli", "-p", address.rpartition(":")[2], "cluster", "info"]
            while b"cluster_state:ok" not in subprocess.run(ask, check=True, capture_output=True).stdout:
                assert time.monotonic() < deadline, "the cluster did not form"
                time.sleep(0.05)
        yield f"redis+cluster://{addresses[0]}"


@contextmanager
def _node(folder: str) -> Iterator[int]:
    """The port of a node of a cluster; the cluster's bus takes the one that is 10,000 higher."""
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1] % 10_000 + 20_000
    options = {"port": str(port), "save": "", "dir": folder, "cluster-enabled": "yes"}
    flags = [part for name, value in options.items() for part in (f"--{name}", value)]
    process = subprocess.Popen(["redis-server", *flags], stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + PATIENCE
        while subprocess.run(["redis-cli", "-p", str(port), "ping"], capture_output=True, check=False).returncode:
            assert time.monotonic() < deadline, "a node did not start"
            time.sleep(0.05)
        yield port
    finally:
        process.kill()
        process.wait(PATIENCE)
