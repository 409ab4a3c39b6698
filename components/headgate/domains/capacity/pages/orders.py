"""The latest plan of orders, as `headgate orders plan` wrote it."""

from typing import Any

from headgate.errors import HeadgateError
from headgate.files import read_json
from headgate.serving.host import Host


def look(host: Host) -> dict[str, Any]:
    """The newest plan in the folder `orders` of the state, and its name; None where none was made."""
    plans = sorted((host.settings.home / "orders").glob("*.json"), key=lambda path: path.stat().st_mtime)
    if not plans:
        return {"plan": None, "name": ""}
    try:
        return {"plan": read_json(plans[-1]), "name": plans[-1].stem}
    except (OSError, ValueError) as error:
        raise HeadgateError(f"{plans[-1]} is no plan ({error}): make it again by `headgate orders plan`.") from error
