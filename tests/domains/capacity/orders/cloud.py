"""EC2 and Auto Scaling over HTTP: moto's, and the capacity reservations that moto has not.

A reservation is made once a `ClientToken`, as EC2 does it, and found again by its tags. The next `refusals` (code,
message), each for an action, are answered instead; every request that writes is noted. The next `lose` reservations
are made, and answered as a failure.
"""

import threading
from collections.abc import Callable
from io import BytesIO
from typing import Any
from urllib.parse import parse_qs
from uuid import uuid4

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

XMLNS = "http://ec2.amazonaws.com/doc/2016-11-15/"
FAILING = ("RequestLimitExceeded", "InternalError", "InternalFailure")
WRITES = ("CreateCapacityReservation", "PutScheduledUpdateGroupAction")


class Cloud:
    def __init__(self) -> None:
        self.moto = DomainDispatcherApplication(create_backend_app)
        self.server = make_server("127.0.0.1", 0, self._answer, threaded=True)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.clear()
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def clear(self) -> None:
        self.reservations: dict[str, dict[str, str]] = {}
        self.refusals: dict[str, list[tuple[str, str]]] = {}
        self.refuse: Callable[[dict[str, str]], tuple[str, str] | None] = lambda asked: None
        self.asked: list[dict[str, str]] = []
        self.forgetful = False
        self.lose = 0

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    def _answer(self, environ: dict[str, Any], start: Any) -> Any:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = BytesIO(body)
        asked = {name: values[0] for name, values in parse_qs(body.decode("utf-8", "replace")).items()}
        action = asked.get("Action", "")
        if action in WRITES and "DryRun" not in asked:
            self.asked.append(asked)
        refusal = self.refusals[action].pop(0) if self.refusals.get(action) else self.refuse(asked)
        if refusal is not None:
            return _error(start, action, *refusal)
        if action == "CreateCapacityReservation":
            if asked.get("DryRun") == "true":
                return _error(start, action, "DryRunOperation", "Request would have succeeded, but DryRun flag is set.")
            known = None if self.forgetful else self.reservations.get(asked["ClientToken"])
            made = known or {**asked, "id": f"cr-{uuid4().hex[:17]}"}
            self.reservations[asked["ClientToken"] if known or not self.forgetful else made["id"]] = made
            if self.lose:
                self.lose -= 1
                return _error(start, action, "InternalFailure", "An internal error has occurred")
            inner = f"<capacityReservationId>{made['id']}</capacityReservationId>"
            return _xml(start, action, f"<capacityReservation>{inner}</capacityReservation>")
        if action == "DescribeCapacityReservations":
            wanted = asked["Filter.1.Value.1"]
            found = [one for one in self.reservations.values() if tag(one) == wanted]
            items = "".join(f"<item><capacityReservationId>{one['id']}</capacityReservationId></item>" for one in found)
            return _xml(start, action, f"<capacityReservationSet>{items}</capacityReservationSet>")
        return self.moto(environ, start)


def tag(asked: dict[str, str]) -> str:
    """The value of the first tag that a request sets."""
    return next(value for name, value in asked.items() if name.endswith("Tag.1.Value"))


def _xml(start: Any, action: str, inner: str) -> list[bytes]:
    start("200 OK", [("Content-Type", "text/xml")])
    return [f'<{action}Response xmlns="{XMLNS}"><requestId>r</requestId>{inner}</{action}Response>'.encode()]


def _error(start: Any, action: str, code: str, message: str) -> list[bytes]:
    start(
        "503 Service Unavailable" if code in FAILING else "400 Bad Request",
        [("Content-Type", "text/xml")],
    )
    error = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    if action == "CreateCapacityReservation":
        return [f"<Response><Errors>{error}</Errors><RequestID>r</RequestID></Response>".encode()]
    return [f"<ErrorResponse>{error}<RequestId>r</RequestId></ErrorResponse>".encode()]
