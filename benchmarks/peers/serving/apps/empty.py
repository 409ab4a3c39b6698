"""A server with the settings of `headgate serve` whose route reads a click and answers always the same."""

import sys

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from headgate.serving.process import http

ANSWER = (
    b'{"click_id":"3f9c1a2b-00000000","invalid":false,"slice":"mobile/in/direct","version":1,'
    b'"decision_id":"20260105-3f9c1a2b7d-1"}'
)


async def decisions(request: Request) -> Response:
    await request.body()
    return Response(ANSWER, media_type="application/json")


async def healthz(request: Request) -> Response:
    return Response(b"{}", media_type="application/json")


if __name__ == "__main__":
    uvicorn.run(
        Starlette(routes=[Route("/v1/adclicks/decisions", decisions, methods=["POST"]), Route("/healthz", healthz)]),
        host="127.0.0.1",
        port=int(sys.argv[1]),
        **http(),
    )
