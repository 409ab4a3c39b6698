"""The clicks behind BentoML: a service class with an asynchronous API, one worker."""

from typing import Any

import bentoml
from decider import Decider, PostedClick


@bentoml.service(workers=1, logging={"access": {"enabled": False}})
class Clicks:
    """The service."""

    def __init__(self) -> None:
        self.decider = Decider()

    @bentoml.api
    async def decide(self, click: PostedClick) -> dict[str, Any]:
        return await self.decider.decide(click)
