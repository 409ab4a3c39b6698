"""The names of a domain's versions, looked up in the blink of an eye: importing MLflow takes seconds.

A server is asked by its documented REST interface, a local database is read as it is.
"""

import json
import sqlite3
from contextlib import closing
from urllib.parse import urlencode
from urllib.request import urlopen

from headgate.servers import tracking_uri
from headgate.settings import Settings

#: So long a server may take, in seconds; and so many versions are enough.
PATIENCE, MOST = 1.0, 200


def list_names(settings: Settings, domain: str) -> list[str]:
    """Aliases, then numbers, newest first. Raises OSError, ValueError or sqlite3.Error if the registry cannot say."""
    uri = tracking_uri(settings)
    aliases, numbers = _ask(uri, domain) if uri.startswith("http") else _read(settings, domain)
    return [*sorted(aliases), *(str(number) for number in sorted(numbers, reverse=True))]


def _ask(uri: str, domain: str) -> tuple[list[str], list[int]]:
    where = f"{uri.rstrip('/')}/api/2.0/mlflow"
    with urlopen(f"{where}/registered-models/get?{urlencode({'name': domain})}", timeout=PATIENCE) as reply:
        model = json.load(reply)["registered_model"]
    asked = urlencode({"filter": f"name='{domain}'", "max_results": MOST})
    with urlopen(f"{where}/model-versions/search?{asked}", timeout=PATIENCE) as reply:
        found = json.load(reply).get("model_versions", [])
    return [alias["alias"] for alias in model.get("aliases", [])], [int(version["version"]) for version in found]


def _read(settings: Settings, domain: str) -> tuple[list[str], list[int]]:
    where = f"{settings.local_database.as_uri()}?mode=ro"
    with closing(sqlite3.connect(where, uri=True, timeout=PATIENCE)) as database:
        aliases = database.execute("SELECT alias FROM registered_model_aliases WHERE name = ?", (domain,)).fetchall()
        numbers = database.execute(
            "SELECT version FROM model_versions WHERE name = ? AND current_stage != 'Deleted_Internal' "
            "ORDER BY version DESC LIMIT ?",
            (domain, MOST),
        ).fetchall()
    return [alias for (alias,) in aliases], [number for (number,) in numbers]
