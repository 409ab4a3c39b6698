"""The clicks behind a plain FastAPI route with pydantic's model of a click."""

from typing import Any

from decider import Decider, PostedClick
from fastapi import FastAPI

app = FastAPI()
decider = Decider()


@app.post("/decisions")
async def decide(click: PostedClick) -> dict[str, Any]:
    return (await decider.decide([click]))[0]


@app.get("/health")
async def health() -> dict[str, str]:
    return {"status": "ok"}
