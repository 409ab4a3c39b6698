"""The clicks behind LitServe: a LitAPI that takes batches of what is there, one worker."""

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

    def batch(self, inputs: list[PostedClick]) -> list[PostedClick]:
        return inputs

    def predict(self, x: list[PostedClick]) -> list[dict[str, Any]]:
        return self.decider.decide(x)

    def unbatch(self, output: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return output

    def encode_response(self, output: dict[str, Any]) -> dict[str, Any]:
        return output


if __name__ == "__main__":
    server = litserve.LitServer(Clicks(max_batch_size=32), accelerator="cpu", workers_per_device=1)
    server.run(
        host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False, log_level="warning", access_log=False
    )
