"""Scopes that a domain declares beside those of all: who has one passes where it is asked for, and nobody else."""

import warnings
from dataclasses import replace

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse

from headgate.access import tokens
from headgate.api.endpoints import Endpoint, Operation
from headgate.domain import known_scopes
from headgate.serving.app import build

from ..toy import ROOMS

CARETAKER = "rooms.caretaker"


async def answer(request: Request) -> PlainTextResponse:
    return PlainTextResponse("warm")


def rooms(scope: str):
    """The toy with an endpoint for who has `scope`; it declares the caretaker's alone."""
    route = Endpoint("POST", "/v1/rooms/tolerances", answer, Operation("Allow more", "", answer=None), scope)
    return replace(
        ROOMS,
        scopes={CARETAKER: "allows a room some degrees more"},
        routes=lambda host: [route],
    )


def test_what_asks_for_a_domains_scope_opens_to_it_alone(settings):
    domain = rooms(CARETAKER)
    shown = {
        scope: {"Authorization": f"Bearer {tokens.add(settings.tokens_file, scope, [scope], known_scopes([domain]))}"}
        for scope in (CARETAKER, "operate")
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Starlette would like another client than the one that is installed
        from starlette.testclient import TestClient

        client = TestClient(build([domain], settings))
    assert client.post("/v1/rooms/tolerances", headers=shown[CARETAKER]).text == "warm"
    refused = client.post("/v1/rooms/tolerances", headers=shown["operate"])
    assert refused.status_code == 403
    assert CARETAKER in refused.text


def test_a_scope_that_no_token_can_have_is_found_before_anything_is_served(settings):
    with pytest.raises(ValueError, match=r"rooms\.caretakr"):
        build([rooms("rooms.caretakr")], settings)


def test_no_token_is_made_with_a_scope_that_nobody_declares(settings):
    with pytest.raises(tokens.UsageError, match=r"rooms\.caretaker"):
        tokens.add(settings.tokens_file, "a", [CARETAKER])
