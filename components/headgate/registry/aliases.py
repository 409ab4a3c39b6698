"""Who holds which alias in the registry, for all models from one question."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from headgate.registry import versions

if TYPE_CHECKING:
    from mlflow import MlflowClient


@dataclass(frozen=True)
class Aliases:
    """Which versions of a model hold an alias, and the share of the units that the challenger decides for."""

    aliases: dict[str, int]
    canary: float
    changed_ms: int = 0  # when the model was last touched: moves with stages, not with aliases

    def of(self, alias: str) -> int | None:
        """The version that holds `alias`."""
        return self.aliases.get(alias)


def read_aliases(registry: "MlflowClient") -> dict[str, Aliases]:
    """Who holds which alias, for all models, from one question."""
    found, token = {}, None
    while True:
        page = registry.search_registered_models(max_results=100, page_token=token)
        for model in page:
            aliases = {alias: int(number) for alias, number in model.aliases.items()}
            found[model.name] = Aliases(aliases, versions.canary_share(model.tags), model.last_updated_timestamp or 0)
        token = page.token
        if not token:
            return found
