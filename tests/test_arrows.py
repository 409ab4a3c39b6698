"""Which room may import which: the arrows of docs/architecture.md, read from the code's own imports.

Imports inside functions and imports for types alone count as well.
"""

import ast
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

COMPONENTS = Path(__file__).parents[1] / "components"
DOMAINS = ("headgate", "domains")

#: The rooms of a domain, lowest first: a room imports those below it. Others are wings, which stand beside serving, but
#: for the features that a model is made of.
FLOORS = {"data": 0, "companions": 0, "features": 1, "model": 2, "stages": 3, "serving": 3, "pages": 4, "commands": 4}
WING = 3

#: What a domain's rooms may all import: its limits. The value `domain` imports them all, and none imports it.
GROUND = "limits"


def modules(root: Path = COMPONENTS) -> dict[str, Path]:
    """Every module below `root` by its dotted name."""
    found = {}
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def arrows(root: Path = COMPONENTS) -> dict[str, frozenset[str]]:
    """What every module imports of the package, whole modules only."""
    known = modules(root)
    return {name: frozenset(_imports(path, known)) - {name} for name, path in known.items()}


def _imports(path: Path, known: dict[str, Path]) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path} imports by dots: name the module"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                if inner in known:
                    yield inner
                elif node.module in known:
                    yield node.module


def domain_of(module: str) -> str | None:
    """The domain that a module is of."""
    parts = module.split(".")
    return parts[2] if tuple(parts[:2]) == DOMAINS and len(parts) > 2 else None


def room_of(module: str) -> str | None:
    """The room within its domain; None for its README's neighbours: domain.py and limits.py, and the package itself."""
    parts = module.split(".")
    return parts[3] if len(parts) > 4 or (len(parts) == 4 and (COMPONENTS.joinpath(*parts)).is_dir()) else None


def strangers(graph: dict[str, frozenset[str]]) -> list[str]:
    """Shared rooms that import a domain, and domains that import another."""
    return [
        f"{name} imports {other}"
        for name, others in graph.items()
        for other in others
        if domain_of(other) not in (None, domain_of(name))
    ]


def upward(graph: dict[str, frozenset[str]]) -> list[str]:
    """Arrows inside a domain that do not lead down."""
    return [
        f"{name} imports {other}"
        for name, others in graph.items()
        for other in others
        if domain_of(other) is not None and domain_of(other) == domain_of(name) and not _leads_down(name, other)
    ]


def _leads_down(name: str, other: str) -> bool:
    """Whether a module of a domain may import another of it."""
    mine, theirs = room_of(name), room_of(other)
    if mine == theirs or name.endswith(".domain") or other.endswith(f".{GROUND}"):
        return not other.endswith(".domain")
    if theirs is None:  # the value is for shared rooms
        return False
    here = WING if mine is None else FLOORS.get(mine, WING)  # limits name features
    there = FLOORS.get(theirs, WING)
    if mine == "simulated":
        return theirs == "data"
    if theirs == "simulated":
        return here >= WING
    beside = here == there and (mine not in FLOORS or theirs not in FLOORS or here == 0)
    return there < here or beside


def circles(graph: dict[str, frozenset[str]]) -> list[list[str]]:
    """Sets of modules that import each other around (Tarjan's strongly connected components)."""
    number: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(name: str) -> None:
        number[name] = low[name] = len(number)
        stack.append(name)
        for other in sorted(graph.get(name, ())):
            if other not in number:
                visit(other)
                low[name] = min(low[name], low[other])
            elif other in stack:
                low[name] = min(low[name], number[other])
        if low[name] == number[name]:
            ring = stack[stack.index(name) :]
            del stack[stack.index(name) :]
            if len(ring) > 1:
                found.append(sorted(ring))

    for name in graph:
        if name not in number:
            visit(name)
    return found


def test_no_shared_room_imports_a_domain_and_no_domain_another() -> None:
    assert strangers(arrows()) == []


def test_inside_a_domain_arrows_lead_down() -> None:
    assert upward(arrows()) == []


def test_there_is_no_circle_of_imports() -> None:
    assert circles(arrows()) == []


A, B = "headgate.domains.adclicks", "headgate.domains.capacity"


@pytest.mark.parametrize(
    ("name", "other", "rule"),
    [
        ("headgate.gate.judge", f"{A}.limits", strangers),
        (f"{A}.stages.train", f"{B}.data.schema", strangers),
        (f"{A}.data.raw", f"{A}.model.net", upward),
        (f"{A}.features.kernel", f"{A}.model.net", upward),
        (f"{A}.serving.routes", f"{A}.commands.lookups", upward),
        (f"{B}.stages.train", f"{B}.pages.live", upward),
        (f"{B}.stages.train", f"{B}.serving.explain", upward),
        (f"{B}.orders.plans", f"{B}.commands.orders", upward),
        (f"{B}.simulated.world", f"{B}.model.clock", upward),
        (f"{B}.serving.routes", f"{B}.domain", upward),
        ("headgate.errors", "headgate.files", circles),
    ],
)
def test_an_arrow_that_must_not_be_is_found(
    name: str, other: str, rule: Callable[[dict[str, frozenset[str]]], list]
) -> None:
    graph = dict(arrows())
    assert name in graph
    assert other in graph
    graph[name] |= {other}
    assert len(rule(graph)) == len(rule(arrows())) + 1
