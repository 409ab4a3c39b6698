"""The pages as the console takes them: what a request asks is computed aside, and drawn."""

import getpass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from headgate.console.guard import form
from headgate.console.page import Page, aside, caller, partial, render
from headgate.contract.host import Host
from headgate.domains.capacity.companions.followed import COMPANIONS
from headgate.domains.capacity.pages import forecast, live, orders


def pages(host: Host) -> list[Page]:
    """The pages for planners."""

    async def show(request: Request) -> Response:
        found = await aside(request, forecast.look, host, request.query_params)
        template = "capacity/outcome.html" if partial(request) else "capacity/forecast.html"
        return render(request, template, **found, may_save=_may_save(request), notice=None, notes=())

    async def save(request: Request) -> Response:
        asked = await form(request)
        saved, notes, found = await aside(request, forecast.save, host, asked, _author(request))
        template = "capacity/planner.html" if partial(request) else "capacity/forecast.html"
        answer = render(request, template, **found, may_save=True, notice=saved, notes=notes)
        answer.headers.update({"HX-Retarget": "#planner", "HX-Reswap": "outerHTML"})
        return answer

    async def watch(request: Request) -> Response:
        found = await aside(request, live.look, host, request.query_params)
        return render(request, "capacity/live.html", **found)

    async def now(request: Request) -> Response:
        found = await aside(request, live.look, host, request.query_params, seconds=live.DEADLINE)
        over: dict[str, Any] = {"status": 286} if found["over"] else {}  # tells htmx to stop asking
        return render(request, "capacity/now.html", **found, **over)

    async def plan(request: Request) -> Response:
        return render(request, "capacity/orders.html", **await aside(request, orders.look, host, request.query_params))

    return [
        Page("/capacity/forecast", show, title="Forecast"),
        Page("/capacity/forecast", save, method="POST"),
        Page("/capacity/live", watch, title="Live"),
        Page("/capacity/live/now", now),
        Page("/capacity/orders", plan, title="Orders"),
    ]


def _may_save(request: Request) -> bool:
    """Whether who looks may also save: change the calendar."""
    found = caller(request)
    return found is None or COMPANIONS[0].scope in found.scopes


def _author(request: Request) -> str:
    """Who makes a change: the token's name, or where none is needed whoever this process belongs to."""
    found = caller(request)
    return found.name if found else getpass.getuser()
