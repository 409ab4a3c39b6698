"""The console as one app below the app that serves: the frame around all pages, and the pages of all domains alike."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from headgate import telemetry
from headgate.api.problems import Problem
from headgate.console import files, glance, kit, state
from headgate.console.guard import COOKIE, ConsoleGuard, Refused, form, inside, logged_in, same_site, to_login
from headgate.console.page import (
    PREFIX,
    Console,
    Page,
    aside,
    ask,
    environment,
    folder_of,
    navigation,
    partial,
    render,
)
from headgate.contract.host import Host
from headgate.decisions.pace import Pace, Paces
from headgate.decisions.reviews import queue as review_queue
from headgate.domain import Domain
from headgate.errors import DataRefused, HeadgateError, UsageError
from headgate.registry.aliases import Aliases
from headgate.settings import Settings

#: The one style that Plotly writes into an element, to see how images are drawn; of another one browsers complain.
PLOTLY = "sha256-ji27qzEtxXZW+7dun6UwjHXJ18e6WAin1VvNtkzIE/o="

#: What a browser may load and do: nothing from elsewhere, no script within a page, and no frame around it. Pictures may
#: also be `blob:`, which is how a page shows a file that its reader chose before it is sent.
HEADERS = {
    "content-security-policy": "default-src 'self'; img-src 'self' blob:; "
    f"style-src 'self' 'unsafe-hashes' '{PLOTLY}'; object-src 'none'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}

#: Those, and that nothing is kept: a page or a file says otherwise itself where it knows better.
ALL = {name.encode(): said.encode() for name, said in (HEADERS | {"cache-control": "no-store"}).items()}

Handler = Callable[[Request], Coroutine[Any, Any, Response]]

T = TypeVar("T")

#: Seconds between two looks of a browser at the first page.
EVERY = 5


def build(domains: Sequence[Domain], host: Host, pages: Sequence[Page], doors: ConsoleGuard) -> Starlette:
    """The console of `domains` with its own pages and those that they bring, to be mounted at `PREFIX`."""
    names, folders = [one.name for one in domains], {one.name: folder_of(one.pages) for one in domains if one.pages}
    found, shown = environment(folders), files.Files(folders)
    found.globals |= {"static": shown.address, "window": state.window, "moment": state.moment}
    look = _Look(domains, host)
    own = [
        Page("/", look.page("console/state.html")),
        Page("/now", look.page("console/now.html")),
        Page("/kit", _kit),
        Page("/{domain}/verdicts/{seq:int}", _verdict(names, host)),
        Page("/{domain}/last-run", _last_run(names, host)),
    ]
    app = Starlette(
        routes=[
            Route("/static/{name:path}", shown.static),
            Route("/login", login, methods=["GET", "POST"]),
            Route("/logout", logout, methods=["POST"]),
            *own,
            *pages,
        ],
        middleware=[Middleware(Guarded)],
        exception_handlers={
            Refused: _on_refused,
            HeadgateError: _on_words,
            Problem: _on_problem,
            HTTPException: _on_http_error,
            Exception: _on_fault,
        },
    )
    app.state.console = Console(found, doors, navigation(pages, names))
    return app


class Guarded:
    """ASGI middleware that tells browsers what pages may do, and not to keep them."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap `app`."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and add the headers to its answer."""

        async def watched(message: Message) -> None:
            if message["type"] == "http.response.start":
                had = {name for name, _ in message["headers"]}
                more = {name: said for name, said in ALL.items() if name not in had}
                message["headers"] = [*message["headers"], *more.items()]
            await send(message)

        await self._app(scope, receive, watched)


async def login(request: Request) -> Response:
    """Take a token, and show it from then on by a cookie."""
    doors: ConsoleGuard = request.app.state.console.doors
    if request.method != "POST":
        to, said = inside(request.query_params.get("to", "")), ""
        return render(request, "console/login.html", to=to, said=said) if doors.asked() else RedirectResponse(to, 303)
    same_site(request)
    fields = await form(request)
    to, found = inside(fields.get("to", "")), doors.find(fields.get("token", ""))
    if found is None:
        said = "This token is not known, or was removed."
    elif "read" not in found.scopes:
        said = f"The token {found.name} lacks the scope `read`: use one that has it."
    else:
        return logged_in(request, fields["token"], to)
    return render(request, "console/login.html", 401, to=to, said=said)


async def logout(request: Request) -> Response:
    """Forget the token."""
    same_site(request)
    answer = RedirectResponse(f"{PREFIX}/login", 303)
    answer.delete_cookie(COOKIE, path=PREFIX)
    return answer


@dataclass(frozen=True)
class Seen:
    """A domain as the first page shows it."""

    title: str
    told: state.Told
    known: Aliases | None  # what the registry says
    serving: dict[str, object]
    figure: glance.Figure
    rate: glance.Rate | None
    waiting: list[glance.Waiting]


class _Look:
    """Where every domain stands, and what is remembered between two looks."""

    def __init__(self, domains: Sequence[Domain], host: Host) -> None:
        self._domains, self._host = domains, host
        self._paces, self._scores = Paces(host.settings), glance.Scores(host.settings)

    def page(self, template: str) -> Handler:
        """The whole page, or the part of it that is looked at again and again."""

        async def handler(request: Request) -> Response:
            settings, names = self._host.settings, [domain.name for domain in self._domains]
            told, paces, cases, registry, scores, links = await asyncio.gather(
                aside(request, state.told, settings, names),
                aside(request, lambda: [self._paces.of(domain) for domain in self._domains]),
                _or_words(ask(request, lambda: [_cases(settings, domain) for domain in self._domains])),
                _or_words(ask(request, state.posts, settings)),
                _or_words(ask(request, lambda: [self._scores.of(domain) for domain in self._domains])),
                _or_words(ask(request, state.links, settings)),
            )
            known, away = registry
            measured = scores[0] or [[] for _ in self._domains]
            queues = cases[0] or [(0, 0) for _ in self._domains]
            seen = [
                self._seen(domain, told[n], (known or {}).get(domain.name), measured[n], paces[n], queues[n])
                for n, domain in enumerate(self._domains)
            ]
            return render(request, template, domains=seen, away=away, links=links[0] or state.NOWHERE, every=EVERY)

        return handler

    def _seen(
        self,
        domain: Domain,
        told: state.Told,
        known: Aliases | None,
        scores: Sequence[glance.Score],
        pace: Pace | None,
        cases: tuple[int, int],
    ) -> Seen:
        champion = known.of("champion") if known else told.ledger_state.champion
        return Seen(
            domain.title,
            told,
            known,
            _serving(self._host, domain.name),
            glance.figure(domain, scores, champion),
            glance.rate(domain, pace) if pace else None,
            glance.waiting(told, known, cases),
        )


def _cases(settings: Settings, domain: Domain) -> tuple[int, int]:
    """How many cases of `domain` wait for people, and how many of them are late."""
    return review_queue.waiting(settings, domain.name) if domain.reviews else (0, 0)


async def _kit(request: Request) -> Response:
    """Everything that pages are built of."""
    return render(request, "console/kit.html", **kit.EXAMPLES)


def _verdict(domains: Sequence[str], host: Host) -> Handler:
    async def page(request: Request) -> Response:
        """A verdict, check by check."""
        domain = _one_of(request, domains)
        entry = await aside(request, state.entry, host.settings, domain, request.path_params["seq"])
        verdict, away = await _or_words(ask(request, state.verdict, host.settings, entry.run_id))
        links, _ = await _or_words(ask(request, state.links, host.settings))
        groups = state.ordered(verdict.checks) if verdict else []
        return render(
            request,
            "console/verdict.html",
            domain=domain,
            entry=entry,
            groups=groups,
            away=away,
            links=links or state.NOWHERE,
        )

    return page


def _last_run(domains: Sequence[str], host: Host) -> Handler:
    async def page(request: Request) -> Response:
        """How the last run of a domain ended."""
        domain = _one_of(request, domains)
        found = await aside(request, state.outcome, host.settings, domain)
        return render(request, "console/last_run.html", domain=domain, outcome=found)

    return page


def _serving(host: Host, domain: str) -> dict[str, object]:
    """What this process decides with, and what is wrong with it."""
    loaded, canary = host.slots.champion(domain), host.slots.canary(domain)
    problems = [host.slots.problem(domain), *host.companions.problems(domain)]
    return {
        "loaded": loaded,
        "canary": canary,
        "companions": list(host.companions.of(domain).values()),
        "problem": telemetry.redact(" ".join(one for one in problems if one)),
    }


def _one_of(request: Request, domains: Sequence[str]) -> str:
    domain: str = request.path_params["domain"]
    if domain not in domains:
        raise HTTPException(404)
    return domain


async def _or_words(work: Awaitable[T]) -> tuple[T | None, str]:
    """What `work` answers and "", or None and why it has no answer."""
    try:
        return await work, ""
    except HeadgateError as error:
        return None, telemetry.redact(str(error))


def _words(request: Request, status: int, words: str, headers: dict[str, str] | None = None) -> Response:
    """A page, or a part of one, that says in words why there is no other."""
    template = "console/words.html" if partial(request) else "console/problem.html"
    answer = render(request, template, status, words=words)
    answer.headers.update(headers or {})
    return answer


async def _on_refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    return to_login(request) if error.status == 401 else _words(request, error.status, error.words, error.headers)


async def _on_words(request: Request, error: Exception) -> Response:
    return _words(request, 422 if isinstance(error, UsageError | DataRefused) else 503, str(error))


async def _on_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return _words(request, error.details.status, error.details.detail)


async def _on_fault(request: Request, error: Exception) -> Response:
    return _words(request, 500, "Something went wrong here, not in what you asked. It has been logged.")


async def _on_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    said = {404: "There is no such page.", 405: "This page does not take that."}
    return _words(request, error.status_code, said.get(error.status_code, error.detail))
