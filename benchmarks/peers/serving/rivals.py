"""What a user would pick instead, each set up as its manual says, in an environment of their own."""

import hashlib
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from headgate.errors import HeadgateError
from headgate.servers import free_port
from peers.serving import rig
from peers.serving.rig import HERE, ROOT, Running

APPS = HERE / "apps"


@dataclass(frozen=True)
class Rival:
    """A server of the same decisions: how it is started, and what it wants to be asked."""

    name: str
    command: Callable[[Path, Path, int], list[str]]  # (the environment's bin, a scratch folder, port)
    path: str
    health: str
    around: tuple[bytes, bytes] = (b"", b"")
    environment: Mapping[str, str] = field(default_factory=dict)
    prepare: Callable[[Path, Path], list[str]] | None = None  # (bin, scratch folder) → what is run once before


RIVALS = (
    Rival(
        "MLflow",
        lambda bin, folder, port: [
            *(f"{bin}/mlflow", "models", "serve", "--model-uri", f"{folder}/pyfunc", "--env-manager", "local"),
            *("--host", "127.0.0.1", "--port", str(port), "--workers", "1"),
        ],
        path="/invocations",
        health="/ping",
        around=(b'{"inputs":[', b"]}"),
        environment={"UVICORN_ACCESS_LOG": "false"},
        prepare=lambda bin, folder: [f"{bin}/python", f"{APPS}/pyfunc.py", f"{folder}/pyfunc"],
    ),
    Rival(
        "BentoML",
        lambda bin, folder, port: [
            *(f"{bin}/bentoml", "serve", "bento:Clicks", "--working-dir", str(APPS)),
            *("--host", "127.0.0.1", "--port", str(port)),
        ],
        path="/decide",
        health="/readyz",
        around=(b'{"clicks":[', b"]}"),
        environment={"BENTOML_DO_NOT_TRACK": "True"},
    ),
    Rival(
        "LitServe",
        lambda bin, folder, port: [f"{bin}/python", f"{APPS}/lit.py", str(port)],
        path="/predict",
        health="/health",
    ),
    Rival(
        "FastAPI",
        lambda bin, folder, port: [
            *(f"{bin}/uvicorn", "plain_fastapi:app", "--app-dir", str(APPS), "--workers", "1"),
            *("--host", "127.0.0.1", "--port", str(port), "--no-access-log", "--log-level", "warning"),
        ],
        path="/decisions",
        health="/health",
    ),
)


def environment(work: Path) -> Path:
    """The `bin` folder of the environment that the peers run in, made in `work` if it is not there."""
    uv = shutil.which("uv")
    if uv is None:
        raise HeadgateError("The peers' environment is made with uv: pip install uv.")
    wanted = APPS / "requirements.txt"
    venv, mark = work / "peers-venv", hashlib.sha256(wanted.read_bytes()).hexdigest()
    stamp = venv / "headgate-made"
    if not stamp.is_file() or stamp.read_text() != mark:
        install = [uv, "pip", "install", "--quiet", "--python", f"{venv}/bin/python"]
        for command in (
            [uv, "venv", "--quiet", "--clear", "--python", "3.11", str(venv)],
            [*install, "--requirement", str(wanted)],
            [*install, "--no-deps", "--editable", str(ROOT)],
        ):
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                raise HeadgateError(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
        stamp.write_text(mark)
    return venv / "bin"


def versions(bin: Path) -> str:
    """The releases that the peers are."""
    code = "from importlib.metadata import version as v; print(*(f'{n} {v(n)}' for n in %r), sep=', ')"
    names = ("mlflow", "bentoml", "litserve", "fastapi", "pydantic", "uvicorn")
    return subprocess.run(
        [bin / "python", "-c", code % (names,)], capture_output=True, text=True, check=True
    ).stdout.strip()


@contextmanager
def running(rival: Rival, bin: Path, folder: Path, bundle: Path, redis: str) -> Iterator[Running]:
    """`rival` for the block, deciding with `bundle` and the counters in `redis`."""
    variables = {
        "BENCH_BUNDLE": str(bundle),
        "BENCH_REDIS": redis,
        "PYTHONPATH": str(APPS),
        "OMP_NUM_THREADS": "1",
        "PATH": f"{bin}:/usr/local/bin:/usr/bin:/bin",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        **rival.environment,
    }
    if rival.prepare and not (folder / "pyfunc").exists():
        with (folder / "prepare.log").open("ab") as log:
            subprocess.run(
                rival.prepare(bin, folder), check=True, stdout=log, stderr=log, cwd=folder, env=rig.inherited(variables)
            )
    port = free_port("127.0.0.1", 18_400)
    with rig.web(rival.name, rival.command(bin, folder, port), port, rival.health, folder, variables) as server:
        yield server
