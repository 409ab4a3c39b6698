"""A page of the console: who may see it, how it is drawn, and where its heavy work is done."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, TypeVar

from jinja2 import Environment, FileSystemLoader, PrefixLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from headgate.access.tokens import Caller
from headgate.console.guard import ConsoleGuard
from headgate.domain import Late
from headgate.errors import HeadgateError

#: Where the console lies in the app that serves.
PREFIX = "/console"

#: Pages compute in so many threads at most, so that decisions beside them are not kept waiting; and so many wait for
#: other servers. What takes longer than its deadline keeps its thread until it ends, so that nothing piles up.
COMPUTING, WAITING = 2, 4

#: Seconds that a page's computing may take, and other servers' answers: a page comes without those.
DEADLINE, PATIENCE = 20.0, 4.0

T = TypeVar("T")


class Page(Route):
    """A page, or a part of one, at `path` below the console's prefix; a domain's have paths below its name.

    `title` is what the navigation calls it; one without is not in it. GET needs the scope "read", POST "operate", and
    either another one where `scope` names it, which the domain declares.
    """

    def __init__(
        self,
        path: str,
        handler: Callable[[Request], Coroutine[Any, Any, Response]],
        *,
        title: str = "",
        method: Literal["GET", "POST"] = "GET",
        scope: str = "",
    ) -> None:
        """Answer `method` `path` with `handler`, once the doors let the request through."""

        self.scope = scope or ("read" if method == "GET" else "operate")

        async def guarded(request: Request) -> Response:
            console(request).doors.enter(request, self.scope)
            return await handler(request)

        super().__init__(path, guarded, methods=[method])
        self.title = title


@dataclass(frozen=True)
class Link:
    """A page that people find in the navigation."""

    title: str
    address: str


@dataclass(frozen=True)
class Group:
    """The pages of a domain in the navigation; one without is where the first page tells of it."""

    title: str
    address: str
    pages: tuple[Link, ...] = ()

    def holds(self, path: str) -> bool:
        """Whether the page at `path` is of this group."""
        return path == self.address or path.startswith(f"{PREFIX}/{self.title}/")


def navigation(pages: Iterable[Page], domains: Iterable[str]) -> tuple[Group, ...]:
    """The first page, and a group for each of `domains` with those of its `pages` that have a title."""
    found = [Group("State", f"{PREFIX}/")]
    titled = [page for page in pages if page.title]
    for name in domains:
        mine = tuple(Link(page.title, PREFIX + page.path) for page in titled if page.path.startswith(f"/{name}/"))
        found.append(Group(name, mine[0].address if mine else f"{PREFIX}/#{name}", mine))
    return tuple(found)


@dataclass(frozen=True)
class Console:
    """What all pages of one app share."""

    environment: Environment
    doors: ConsoleGuard
    nav: tuple[Group, ...]
    computing: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(COMPUTING, "console"))
    waiting: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(WAITING, "console-waits"))


def console(request: Request) -> Console:
    """The console that `request` was sent to."""
    found: Console = request.app.state.console
    return found


def folder_of(pages: Callable[..., Any]) -> Path:
    """The folder of the module that brings a domain's `pages`: templates and static files lie beside it."""
    module = pages.place.partition(":")[0] if isinstance(pages, Late) else pages.__module__
    found = find_spec(module)
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent


def environment(folders: Mapping[str, Path]) -> Environment:
    """Where templates come from: "console/…", and of a domain that brings pages, as `folders` names them, "NAME/…".

    All values are escaped.
    """
    own = {name: FileSystemLoader(folder / "templates") for name, folder in folders.items()}
    loader = PrefixLoader({"console": FileSystemLoader(Path(__file__).parent / "templates"), **own})
    found = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    found.globals["prefix"] = PREFIX
    return found


def render(request: Request, template: str, status: int = 200, **values: Any) -> Response:
    """The page that `template` makes of `values`."""
    here, found = console(request), caller(request)
    nav = here.nav if found or not here.doors.asked() else ()
    common = {"request": request, "caller": found, "nav": nav}
    return HTMLResponse(here.environment.get_template(template).render(common | values), status)


def caller(request: Request) -> Caller | None:
    """Whose token the request shows; None where none is needed."""
    found: Caller | None = request.scope.get("state", {}).get("caller")
    return found


def partial(request: Request) -> bool:
    """Whether a part of the page is asked for, to be put into the page that is there."""
    return "hx-request" in request.headers


async def aside(request: Request, function: Callable[..., T], *arguments: Any, seconds: float = DEADLINE) -> T:
    """What `function` computes of `arguments`, in a thread; HeadgateError where it takes longer than `seconds`."""
    return await _within(console(request).computing, seconds, function, *arguments)


async def ask(request: Request, function: Callable[..., T], *arguments: Any) -> T:
    """What `function` learns of other servers, in a thread; HeadgateError where they take longer than `PATIENCE`."""
    return await _within(console(request).waiting, PATIENCE, function, *arguments)


async def _within(pool: ThreadPoolExecutor, seconds: float, function: Callable[..., T], *arguments: Any) -> T:
    work = asyncio.get_running_loop().run_in_executor(pool, copy_context().run, function, *arguments)
    try:
        return await asyncio.wait_for(work, seconds)
    except TimeoutError:
        raise HeadgateError(f"This took longer than {seconds:g} seconds: ask for less, or again later.") from None
