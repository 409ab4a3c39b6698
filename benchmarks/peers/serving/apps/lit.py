"""The clicks behind LitServe: a LitAPI, one worker, no batching, as it is by default."""

import sys
from typing import Any

import litserve
from decider import Blocking, PostedClick


class Clicks(litserve.LitAPI):
    """The API."""

    def setup(self, device: str) -> None:
        self.decider = Blocking()

    def decode_request(self, request: dict[str, Any]) -> PostedClick:
        return PostedClick(**request)

    def predict(self, x: PostedClick) -> dict[str, Any]:
        return self.decider.decide(x)

    def encode_response(self, output: dict[str, Any]) -> dict[str, Any]:
        return output


if __name__ == "__main__":
    server = litserve.LitServer(Clicks(), accelerator="cpu", workers_per_device=1)
    server.run(
        host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False, log_level="warning", access_log=False
    )
