"""The clicks behind BentoML: a service class with an asynchronous API that takes batches, one worker."""

from typing import Any

import bentoml
from decider import Decider, PostedClick


@bentoml.service(workers=1, logging={"access": {"enabled": False}})
class Clicks:
    """The service."""

    def __init__(self) -> None:
        self.decider = Decider()

    @bentoml.api(batchable=True, max_batch_size=32)
    async def decide(self, clicks: list[PostedClick]) -> list[dict[str, Any]]:
        return await self.decider.decide(clicks)
