"""Every function that a domain brings has the signature that the contract asks for, also where it is imported late."""

import inspect
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from typing import Any, get_args, get_origin, get_type_hints

import pytest

from headgate.domain import NAMES, Domain, Late, get_domain


def supplied(value: Any, path: str) -> Iterator[tuple[str, Any, Any]]:
    """Name, declared type and value of every function in a dataclass of the contract, and in those that it holds."""
    hints = get_type_hints(type(value))
    for field in fields(value):
        held, declared = getattr(value, field.name), hints[field.name]
        if is_dataclass(held) and not isinstance(held, Late | type):
            yield from supplied(held, f"{path}.{field.name}")
        elif isinstance(held, tuple):
            for one in held:
                if is_dataclass(one):
                    yield from supplied(one, f"{path}.{field.name}.{getattr(one, 'name', '')}")
        elif callable(held):
            yield f"{path}.{field.name}", declared, held


def asked(declared: Any) -> tuple[list[Any] | None, dict[str, Any], Any] | None:
    """The types of positional arguments (None: any), of named ones, and of the result; None: it is no function's."""
    for one in (declared, *get_args(declared)):
        if get_origin(one) is Callable:
            arguments, result = get_args(one)
            return (None if arguments is Ellipsis else list(arguments)), {}, result
        if inspect.isclass(one) and getattr(one, "_is_protocol", False):
            hints = get_type_hints(one.__call__)
            kinds = inspect.signature(one.__call__).parameters
            named = {name: hints[name] for name, at in kinds.items() if at.kind is at.KEYWORD_ONLY}
            placed = [hints[name] for name, at in kinds.items() if at.kind is not at.KEYWORD_ONLY and name != "self"]
            return placed, named, hints.get("return")
    return None


def differences(declared: Any, function: Any) -> list[str]:
    """Where `function` has not the signature that is declared."""
    wanted = asked(declared)
    if wanted is None:
        return []
    placed, named, result = wanted
    target = function.resolve() if isinstance(function, Late) else function
    signature = inspect.signature(target)
    hints = get_type_hints(target.__init__ if inspect.isclass(target) else target)
    found = []
    if placed is not None:
        try:
            bound = signature.bind(*placed, **named)
        except TypeError as error:
            return [f"it cannot be called with {len(placed)} arguments and {', '.join(named) or 'none'} named: {error}"]
        for name, given in bound.arguments.items():
            if not _fits(given, hints.get(name, Any)):
                found.append(f"{name} is {hints.get(name)}, and {given} is given")
    returned = target if inspect.isclass(target) else hints.get("return", Any)
    if not _returns(returned, result):
        found.append(f"it returns {returned}, and {result} is expected")
    return found


def _fits(given: Any, taken: Any) -> bool:
    """Whether what is given can be taken. `Any` is what a domain may narrow: its own predictor."""
    return given is Any or taken is Any or given == taken or given in get_args(taken)


def _returns(returned: Any, wanted: Any) -> bool:
    nothing = (None, type(None))
    if wanted is Any or returned is Any or returned == wanted or (wanted in nothing and returned in nothing):
        return True
    if inspect.isclass(wanted) and getattr(wanted, "_is_protocol", False):
        names = [name for name in vars(wanted) if not name.startswith("_")]
        return all(hasattr(returned, name) for name in names)
    return get_origin(returned) is not None and get_origin(returned) == get_origin(wanted)


FUNCTIONS = [(name, *one) for name in NAMES for one in supplied(get_domain(name), name)]


@pytest.mark.parametrize(("declared", "function"), [one[2:] for one in FUNCTIONS], ids=[one[1] for one in FUNCTIONS])
def test_a_function_of_a_domain_has_the_signature_that_the_contract_asks_for(declared: Any, function: Any) -> None:
    assert differences(declared, function) == []


@pytest.mark.parametrize("name", NAMES)
def test_a_domains_scopes_bear_its_name(name: str) -> None:
    assert [scope for scope in get_domain(name).scopes if not scope.startswith(f"{name}.")] == []


def test_all_that_is_imported_late_is_among_them() -> None:
    assert sum(isinstance(function, Late) for *_, function in FUNCTIONS) > 20


def test_a_wrong_place_or_signature_is_found() -> None:
    hints = get_type_hints(Domain)

    def two(work: str, out: int) -> None: ...

    def one(work: Any) -> None: ...

    assert len(differences(hints["train"], two)) == 2
    assert "cannot be called with 2 arguments" in differences(hints["train"], one)[0]
    with pytest.raises(AttributeError):
        differences(hints["train"], Late("headgate.files:no_such_function"))
