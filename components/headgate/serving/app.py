"""The app that answers: every domain's own routes, and what operators ask."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from typing import Any

import msgspec
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Mount, Route

from headgate import telemetry
from headgate.access.tokens import Keys, loopback
from headgate.api import docs, openapi
from headgate.api.endpoints import Endpoint, Operation, json
from headgate.api.events import Streams
from headgate.api.guard import Guard, admission
from headgate.api.problems import Problem, not_ready, on_fault, on_gone, on_http_error, on_problem
from headgate.api.upload_files import Uploads
from headgate.console import app as console
from headgate.console import guard
from headgate.console.page import PREFIX, Page
from headgate.console.queue import queue_pages
from headgate.contract.host import Host
from headgate.contract.slots import Slots
from headgate.decisions.compaction import Folder
from headgate.decisions.recorder import Segments
from headgate.domain import Domain, known_scopes
from headgate.privacy.references import BeingForgotten, Gone
from headgate.serving import metrics
from headgate.serving.companions import CompanionFollower
from headgate.serving.follower import Follower
from headgate.serving.reviews import review_endpoints, show_counts
from headgate.settings import Settings


class Status(msgspec.Struct, frozen=True):
    """That all is well."""

    status: str


class CompanionModel(msgspec.Struct, frozen=True):
    """A companion of a domain; null where none is in force and the version's own counts."""

    name: str
    id: str | None
    since: datetime | None
    problem: str | None


class Model(msgspec.Struct, frozen=True):
    """What decides for a domain; null where nothing is loaded, and where no challenger is tried out."""

    domain: str
    version: int | None
    bundle: str | None
    loaded_at: datetime | None
    problem: str | None
    canary_version: int | None = None
    canary_share: float | None = None  # of the units, from 0 to 1
    companions: tuple[CompanionModel, ...] = ()


def build(domains: Sequence[Domain], settings: Settings) -> Starlette:
    """The app that serves `domains`; while it lives, it follows their champions in the registry, and their companions.

    Requests need a token unless it listens to this machine alone (`settings.host`) and there is no token.
    """
    slots = Slots()
    recorder = Segments(settings)
    recorder.announce(domain.name for domain in domains)
    accompanying = CompanionFollower(domains, settings)
    uploads = Uploads(settings.home / "uploads")
    host = Host(slots, recorder, settings, accompanying.companions, [uploads.beside])
    endpoints = [route for domain in domains for route in domain.routes(host)]
    pages = [page for domain in domains if domain.pages for page in domain.pages(host)]
    for domain in domains:
        if domain.reviews is not None:
            endpoints += review_endpoints(domain, host)
            pages += queue_pages(domain, host)
    endpoints += _operators(domains, host)
    documented = [endpoint for endpoint in endpoints if isinstance(endpoint, Endpoint)]
    _hold_scopes(domains, [*documented, *pages])
    document = openapi.document(documented)
    written = msgspec.json.encode(document)

    async def openapi_json(request: Request) -> Response:
        return Response(written, media_type="application/json")

    async def docs_page(request: Request) -> Response:
        models = msgspec.to_builtins([_model(domain, host) for domain in domains])
        return HTMLResponse(docs.page(document, models, str(request.base_url).rstrip("/")))

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        follower = Follower(slots, domains, settings)
        folder = Folder(recorder, settings, [domain.name for domain in domains])
        async with AsyncExitStack() as beside:
            for enter in host.beside:
                await beside.enter_async_context(enter())
            folder.start()
            follower.start()
            accompanying.start()
            try:
                await run_in_threadpool(follower.wait)
                await run_in_threadpool(accompanying.wait)
                yield
            finally:
                follower.stop()
                accompanying.stop()
                folder.stop()

    async def to_console(request: Request) -> Response:
        return RedirectResponse(f"{PREFIX}/")

    keys, required, rate = Keys(settings.tokens_file), not loopback(settings.host), settings.rate
    people_doors = guard.ConsoleGuard(keys, required=required, rate=rate)
    people = console.build(domains, host, pages, people_doors)
    routes = [*endpoints, Route("/openapi.json", openapi_json), Route("/docs", docs_page), Route(PREFIX, to_console)]
    paths = {route.endpoint: route.path for route in routes}
    paths |= {route.endpoint: PREFIX + route.path for route in people.routes if isinstance(route, Route)}
    app = Starlette(
        routes=[*routes, Mount(PREFIX, people)],
        middleware=[
            Middleware(metrics.Timed, paths, metrics.request_times(domains)),
            Middleware(Guard, documented, keys, required=required, rate=rate, beyond=PREFIX),
        ],
        exception_handlers={
            Problem: on_problem,
            Gone: on_gone,
            BeingForgotten: on_gone,
            HTTPException: on_http_error,
            ClientDisconnect: lambda request, error: Response(status_code=400),  # nobody is there to read it
            Exception: on_fault,
        },
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False
    app.state.uploads = people.state.uploads = uploads
    app.state.streams = Streams(admission(keys, required=required))
    people.state.streams = Streams(people_doors.admits)
    return app


def _hold_scopes(domains: Sequence[Domain], asked: Sequence[Endpoint | Page]) -> None:
    """Raise ValueError where one asks for a scope that no token can have: nobody would ever pass."""
    known = {*known_scopes(domains), "open"}
    for domain in domains:
        if domain.reviews and (strange := set(domain.reviews.roles) - known):
            raise ValueError(f"{domain.name} has roles that no token can have: {', '.join(sorted(strange))}")
    for one in asked:
        if one.scope not in known:
            raise ValueError(f"{one.path} asks for the scope {one.scope!r}, which no domain declares in `scopes`")


def _model(domain: Domain, host: Host) -> Model:
    name, slots = domain.name, host.slots
    loaded, problem = slots.champion(name), telemetry.redact(slots.problem(name) or "") or None
    beside = tuple(_companion(name, one.name, host) for one in domain.companions)
    if loaded is None:
        problem = problem or "The registry has not been asked yet."
        return Model(name, None, None, None, problem, companions=beside)
    canary = slots.canary(name)
    version, share = (canary.loaded.version, canary.share) if canary else (None, None)
    return Model(name, loaded.version, loaded.bundle, loaded.loaded_at, problem, version, share, beside)


def _companion(domain: str, name: str, host: Host) -> CompanionModel:
    held, problem = host.companions.of(domain).get(name), host.companions.problem(domain, name)
    told = telemetry.redact(problem) if problem else None
    return CompanionModel(name, held.id if held else None, held.since if held else None, told)


def _operators(domains: Sequence[Domain], host: Host) -> list[Any]:
    """What operators ask, for all domains."""

    async def healthz(request: Request) -> Response:
        return json(Status("ok"))

    async def readyz(request: Request) -> Response:
        missing = [_model(domain, host) for domain in domains if host.slots.champion(domain.name) is None]
        if missing:
            raise not_ready(" · ".join(f"{model.domain} has no version loaded: {model.problem}" for model in missing))
        return json(Status("ready"))

    async def metrics_text(request: Request) -> Response:
        await run_in_threadpool(show_counts, domains, host.settings)
        return Response(metrics.text(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def models(request: Request) -> Response:
        return json([_model(domain, host) for domain in domains])

    return [
        Endpoint("GET", "/v1/models", models, _MODELS),
        Endpoint("GET", "/healthz", healthz, _HEALTHZ, "open"),
        Endpoint("GET", "/readyz", readyz, _READYZ, "open"),
        Endpoint("GET", "/metrics", metrics_text, _METRICS),
    ]


_MODELS = Operation(
    summary="What decides now",
    description="For each domain the version and bundle that decide, since when, and what is wrong, if anything is; "
    "and which companions are in force: inputs that people change and no version holds.",
    answer=list[Model],
)
_HEALTHZ = Operation(
    summary="Is the process up?",
    description="200 as long as the process answers; whether it can decide is what `/readyz` says.",
    answer=Status,
    answer_example={"status": "ok"},
)
_READYZ = Operation(
    summary="Can it decide?",
    description="200 when every domain has a version loaded.",
    answer=Status,
    answer_example={"status": "ready"},
    errors={503: "A domain has no version loaded; the detail says which, and why."},
)
_METRICS = Operation(
    summary="Metrics for Prometheus",
    description="Decisions by slice and outcome, request times, versions, swaps, problems.",
    answer=None,
)
