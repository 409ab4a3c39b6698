"""A version as an MLflow model: what `mlflow models serve` and `mlflow.pyfunc.load_model` run.

MLflow loads this file by its path ("models from code"), so no pickle is written or read. The model holds no copy of the
bundle, only its id and the run that logged it: it is fetched like any version's, into the state folder of whoever loads
it, and loaded by the Headgate that is installed there, as serving does.
"""

from typing import Any

import mlflow
import pandas as pd
import polars as pl

from headgate.domain import get_domain
from headgate.registry.bundles import card
from headgate.registry.versions import fetch_bundle
from headgate.settings import load


class Version(mlflow.pyfunc.PythonModel):  # type: ignore[name-defined]
    """The bundle's predictor behind MLflow's interface: rows of inputs in, rows of decisions out."""

    def load_context(self, context: Any) -> None:
        """Fetch the bundle, verify it, and load it."""
        logged = context.model_config
        folder = fetch_bundle(logged["run"], logged["bundle"], load(), f"the model of run {logged['run']}")
        self.predictor = get_domain(card(folder)["domain"]).load(folder)

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Decide the rows of `model_input`."""
        return self.predictor.decide(pl.from_pandas(model_input)).to_pandas()


mlflow.models.set_model(Version())
