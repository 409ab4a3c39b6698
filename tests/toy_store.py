"""The toy, with guests who leave a picture and a note with their reading: bytes about persons, kept in the store.

The log holds references and the guest's pseudonym, and by value what the guest calls themselves, which it hides.
"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
from starlette.requests import Request
from starlette.responses import Response

from headgate.api.endpoints import Endpoint, Operation, json, read
from headgate.contract.host import Host
from headgate.contract.kinds import Kind
from headgate.contract.live import DecisionLog
from headgate.contract.row import Row
from headgate.privacy.pseudonyms import unit_pseudonym
from headgate.privacy.store import Store
from headgate.settings import Settings

from .toy import LOG, ROOMS, observe

KINDS = (
    Kind("picture", "pictures", timedelta(days=30), ("image/png",), keyed=True),
    Kind("note", "notes", None, ("text/plain",)),
)


class Posted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A reading with what the guest left."""

    room: str
    degrees: float
    guest: str
    picture: bytes  # base64
    note: str


class Logged(Row, frozen=True, array_like=True, gc=False):
    """A row of the log."""

    usual: float
    room: str
    degrees: float
    guest: str
    comfortable: bool | None
    who: str
    picture: str
    note: str


OWN = dict(LOG.own) | {"who": pl.String(), "picture": pl.String(), "note": pl.String()}
LEFT = DecisionLog("rooms", OWN, decided=LOG.decided, hidden=("guest",), unit="who", days=30)

#: What the domain holds beside store and log: a book of guests, by pseudonym.
BOOK = "book"


def strike_out(settings: Settings, unit: str) -> dict[str, int]:
    """The book's line of a guest goes."""
    path = settings.home / BOOK / unit
    there = path.is_file()
    path.unlink(missing_ok=True)
    return {"lines of the book": int(there)}


def routes(host: Host) -> list[Any]:
    """The toy's, and one that takes what a guest left."""
    decoder, store = msgspec.json.Decoder(Posted), Store(host.settings, "rooms", KINDS)

    async def leave(request: Request) -> Response:
        told, at = await read(request, decoder), datetime.now(UTC)
        champion = host.slots.champion("rooms")
        assert champion is not None
        batch = pl.DataFrame({"room": [told.room], "degrees": [told.degrees]})
        usual, outcome = champion.predictor.decide(batch).select("usual", "outcome").row(0)
        picture, note = (
            store.put(told.guest, told.picture, "picture"),
            store.put(told.guest, told.note.encode(), "note"),
        )
        who, (name,) = unit_pseudonym(host.settings, "rooms", told.guest), host.recorder.ids(1, at)
        (host.settings.home / BOOK).mkdir(exist_ok=True)
        (host.settings.home / BOOK / who).write_text("was here")
        when, by = int(at.timestamp() * 1e6), (champion.version, champion.bundle, "", "champion")
        posted = told.room, told.degrees, told.guest, None
        row = Logged(name, when, *by, told.room, outcome, usual, *posted, who, picture, note)
        host.recorder.record("rooms", [row])
        return json({"decision_id": name, "outcome": outcome, "picture": picture, "note": note})

    what = Operation("Leave something.", "With a reading.", body=Posted, answer=dict[str, str])
    return [*ROOMS.routes(host), Endpoint("POST", "/v1/rooms/visits", leave, what)]


def observe_guests(rows: pl.DataFrame, truth: Path | None = None) -> pl.DataFrame:
    """As the toy observes, each guest by their pseudonym."""
    return observe(rows.with_columns(guest="who") if "who" in rows.columns else rows, truth)


LIVE = replace(ROOMS.logs, log=LEFT, observe=observe_guests)
GUESTS = replace(ROOMS, kinds=KINDS, routes=routes, forget=strike_out, live=LIVE)
