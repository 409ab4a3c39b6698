"""The clicks behind `mlflow models serve`: a pyfunc with type hints, kept as code. Run it to save the model."""

import sys
from pathlib import Path
from typing import Any

import mlflow

sys.path.insert(0, str(Path(__file__).parent))
from decider import Blocking, PostedClick


class WrittenClick(PostedClick):
    """A click whose instants are text: MLflow takes no others from JSON."""

    event_time: str
    received_at: str | None = None


class Clicks(mlflow.pyfunc.PythonModel):
    """The model."""

    def load_context(self, context: Any) -> None:
        self.decider = Blocking()

    def predict(self, model_input: list[WrittenClick]) -> list[dict[str, Any]]:
        return self.decider.decide([PostedClick(**click.model_dump()) for click in model_input])


if __name__ == "__main__":
    mlflow.pyfunc.save_model(
        sys.argv[1],
        python_model=__file__,
        code_paths=[str(Path(__file__).with_name("decider.py"))],
        pip_requirements=[],
    )
else:
    mlflow.models.set_model(Clicks())
