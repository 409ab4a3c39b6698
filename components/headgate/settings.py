"""Where things are: one frozen value, read from the environment, with defaults that work on a laptop."""

import os
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal, cast

from headgate.errors import UsageError

#: Set before any of these libraries is imported. Telemetry waits for networks that may not be there.
QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "DVC_NO_ANALYTICS": "1",
    "GX_ANALYTICS_ENABLED": "false",
    "ORT_DISABLE_TELEMETRY": "1",
    # What these libraries print is not for the people who read our terminal; Prefect's UI keeps its logs.
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
    # An unreachable tracking server is reported in seconds, not in the four minutes of the default.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
}

#: Lets Python, and whatever it starts, import nothing from the folder that it happens to be started in.
SAFE_PATH = {"PYTHONSAFEPATH": "1"}


@dataclass(frozen=True)
class Settings:
    """Settings of this process. Each field can be set by the environment variable in its comment."""

    home: Path  # HEADGATE_HOME: all state lives below it
    host: str  # HEADGATE_HOST: what the local servers listen on
    serve_port: int  # HEADGATE_PORT
    mlflow_port: int  # HEADGATE_MLFLOW_PORT
    prefect_port: int  # HEADGATE_PREFECT_PORT
    tracking_uri: str | None  # MLFLOW_TRACKING_URI: a server of yours; None is the local one
    prefect_api: str | None  # PREFECT_API_URL: a server of yours; None is the local one
    data_remote: str | None  # HEADGATE_DATA_REMOTE: a DVC remote such as s3://bucket/prefix; None is local
    artifacts: str | None  # HEADGATE_ARTIFACTS: where MLflow keeps artifacts; None is local
    ledger: str | None  # HEADGATE_LEDGER: a database of yours, as SQLAlchemy names it; None is a local SQLite file
    alert_url: str | None  # HEADGATE_ALERT_URL: a webhook that is told what a person should look at; None is nobody
    reviews: str | None  # HEADGATE_REVIEWS: the database of what people rule; None is a local SQLite file
    lookups: str | None  # HEADGATE_LOOKUPS: the database of lookups; None is a local SQLite file
    calendar: str | None  # HEADGATE_CALENDAR: the folder of calendar.csv that the console saves to; None: it saves none
    tokens: str | None  # HEADGATE_TOKENS: the file with the hashes of the tokens; None is a file in the state folder
    rate: float | None  # HEADGATE_RATE: requests a second that one caller may send; None is no limit
    log: Literal["plain", "json"]  # HEADGATE_LOG: how serving logs
    redis: str | None  # HEADGATE_REDIS: where counters are kept; None is this process's memory
    redis_deadline: float  # HEADGATE_REDIS_DEADLINE_MS: seconds here; then the default answer is given
    dask: str | None  # HEADGATE_DASK: the cluster that a flow's fits go to, tcp://host:port or local; None is threads
    salt: str | None  # HEADGATE_SALT: what names of persons are hashed with; None is a file in the state folder
    onnx: Literal["cpu", "cuda"]  # HEADGATE_ONNX: what scores
    store: str | None  # HEADGATE_STORE: where bytes about persons lie, s3://bucket/prefix; None is the state folder
    keys: str | None  # HEADGATE_KEYS: the folder of the keys that such bytes are encrypted with; None is a local one

    @cached_property
    def mlflow_home(self) -> Path:
        """Database and artifacts of the local tracking server."""
        return self.home / "mlflow"

    @property
    def local_database(self) -> Path:
        """The local registry's database."""
        return self.mlflow_home / "mlflow.db"

    @property
    def local_tracking_uri(self) -> str:
        """The local registry's database, read without a server."""
        return f"sqlite:///{self.local_database}"

    @property
    def ledger_url(self) -> str:
        """The ledger's database."""
        return self.ledger or f"sqlite:///{self.home / 'ledger.db'}"

    @property
    def reviews_url(self) -> str:
        """The database of reviews, and of all that people ruled."""
        return self.reviews or f"sqlite:///{self.home / 'reviews.db'}"

    @property
    def lookups_url(self) -> str:
        """The database of lookups."""
        return self.lookups or f"sqlite:///{self.home / 'lookups.db'}"

    @property
    def store_folder(self) -> Path:
        """The index of the store, and its bytes unless they lie in a bucket."""
        return self.home / "store"

    @property
    def keys_folder(self) -> Path:
        """The keys of units, and the key that signs receipts."""
        return Path(self.keys).expanduser() if self.keys else self.home / "keys"

    @property
    def tokens_file(self) -> Path:
        """The hashes of the tokens that open the endpoints."""
        return Path(self.tokens).expanduser() if self.tokens else self.home / "tokens.json"

    @property
    def bundles(self) -> Path:
        """Cache of the bundles of versions, by their hash."""
        return self.home / "bundles"

    @property
    def parts(self) -> Path:
        """The large parts of bundles that this machine has, by their hash."""
        return self.home / "parts"

    @property
    def datasets(self) -> Path:
        """The DVC project of the daily runs."""
        return self.home / "datasets"

    @property
    def servers_file(self) -> Path:
        """Addresses of the local servers that are up."""
        return self.home / "servers.json"


def load() -> Settings:
    """Read the settings from the environment, and quiet the libraries' telemetry."""
    env = os.environ
    for name, value in QUIET.items():
        env.setdefault(name, value)
    return Settings(
        home=_home(env.get("HEADGATE_HOME") or "state"),
        host=env.get("HEADGATE_HOST", "127.0.0.1"),
        serve_port=_port("HEADGATE_PORT", 8000),
        mlflow_port=_port("HEADGATE_MLFLOW_PORT", 5000),
        prefect_port=_port("HEADGATE_PREFECT_PORT", 4200),
        tracking_uri=env.get("MLFLOW_TRACKING_URI") or None,
        prefect_api=env.get("PREFECT_API_URL") or None,
        data_remote=env.get("HEADGATE_DATA_REMOTE") or None,
        artifacts=env.get("HEADGATE_ARTIFACTS") or None,
        ledger=env.get("HEADGATE_LEDGER") or None,
        alert_url=env.get("HEADGATE_ALERT_URL") or None,
        reviews=env.get("HEADGATE_REVIEWS") or None,
        lookups=env.get("HEADGATE_LOOKUPS") or None,
        calendar=env.get("HEADGATE_CALENDAR") or None,
        tokens=env.get("HEADGATE_TOKENS") or None,
        rate=_rate(env.get("HEADGATE_RATE", "")),
        log=_log(env.get("HEADGATE_LOG") or "plain"),
        redis=env.get("HEADGATE_REDIS") or None,
        redis_deadline=_deadline(env.get("HEADGATE_REDIS_DEADLINE_MS") or "2"),
        dask=_dask(env.get("HEADGATE_DASK", "")),
        salt=env.get("HEADGATE_SALT") or None,
        onnx=_onnx(env.get("HEADGATE_ONNX") or "cpu"),
        store=_store(env.get("HEADGATE_STORE", "")),
        keys=env.get("HEADGATE_KEYS") or None,
    )


def _home(text: str) -> Path:
    """The state folder: one that is there, or can be made. It is not made here: asking leaves nothing behind."""
    try:
        home = Path(text).expanduser().resolve()
        if not home.is_dir():
            there = next(folder for folder in (home, *home.parents) if folder.exists())
            with TemporaryDirectory(prefix=".tmp-headgate-", dir=there):
                pass
    except (OSError, RuntimeError) as error:  # RuntimeError: ~nobody
        raise UsageError(
            f"HEADGATE_HOME={text} can be no folder ({error}): name one that can be written to."
        ) from error
    return home


def _rate(text: str) -> float | None:
    if not text:
        return None
    return _positive("HEADGATE_RATE", text, float("inf"), "is no rate: give requests per second, for example 50.")


def _deadline(text: str) -> float:
    """In seconds, of milliseconds."""
    told = "is no deadline: give milliseconds, more than 0 and less than 60,000, for example 2."
    return _positive("HEADGATE_REDIS_DEADLINE_MS", text, 60_000.0, told) / 1000


def _positive(variable: str, text: str, below: float, told: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < below:
        raise UsageError(f"{variable}={text} {told}")
    return number


def _log(text: str) -> Literal["plain", "json"]:
    if text in ("plain", "json"):
        return cast(Literal["plain", "json"], text)
    raise UsageError(f"HEADGATE_LOG={text} is no format of logs: write plain or json.")


def _onnx(text: str) -> Literal["cpu", "cuda"]:
    if text in ("cpu", "cuda"):
        return cast(Literal["cpu", "cuda"], text)
    raise UsageError(f"HEADGATE_ONNX={text} scores nothing: write cpu or cuda.")


def _store(text: str) -> str | None:
    if not text or re.fullmatch(r"s3://[^/\s]+(/\S*)?", text):
        return text or None
    raise UsageError(
        f"HEADGATE_STORE={text} is no place for bytes: give s3://bucket/prefix, or unset it for the state folder."
    )


def _dask(text: str) -> str | None:
    if not text or text == "local" or re.fullmatch(r"(tcp|tls)://[^/\s]+:\d+", text):
        return text or None
    raise UsageError(
        f"HEADGATE_DASK={text} is no cluster: give a Dask scheduler's tcp://host:port or tls://…, or local."
    )


def _port(variable: str, default: int) -> int:
    text = os.environ.get(variable, "")
    if not text:
        return default
    if not text.isdigit() or not 0 < int(text) < 65536:
        raise UsageError(f"{variable}={text} is no port: give a number from 1 to 65535.")
    return int(text)
