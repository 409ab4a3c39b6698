"""Versions in MLflow's model registry: find them, fetch them.

The alias `champion` is canonical; the deprecated stages are mirrored, because people roll back by changing them.
"""

import logging
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headgate.errors import HeadgateError, UsageError
from headgate.files import atomic_folder
from headgate.registry import bundles, databases, parts
from headgate.servers import tracking_uri
from headgate.settings import Settings

if TYPE_CHECKING:
    from mlflow import MlflowClient

#: A version's tags that Headgate sets.
TAG_BUNDLE = "headgate.bundle"
TAG_RULING = "headgate.ruling"
TAG_DATA = "headgate.data"
TAG_AS_OF = "headgate.as_of"

#: A run's tag: which model's lines of the scorecard, and metrics, are the version's own.
TAG_MODEL = "headgate.model"

#: A registered model's tag: the share of the units that its challenger decides for.
TAG_CANARY = "headgate.canary"

CHAMPION, PREVIOUS, CHALLENGER = "champion", "previous", "challenger"


@dataclass(frozen=True)
class Version:
    """One version of a registered model, as far as Headgate cares."""

    domain: str
    number: int
    bundle: str  # the bundle's id: the SHA-256 of its manifest
    run_id: str
    source: str
    aliases: tuple[str, ...]
    stage: str
    tags: dict[str, str]
    created_ms: int
    changed_ms: int  # when it was last touched: its stage, a tag, its description

    @property
    def as_of(self) -> datetime | None:
        """The instant whose knowledge it was made of; None where its tag does not tell."""
        try:
            return datetime.fromisoformat(self.tags.get(TAG_AS_OF, ""))
        except ValueError:
            return None


def client(settings: Settings) -> "MlflowClient":
    """A client of the registry; an error that says what to do where it does not answer."""
    import mlflow

    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", message=".*stages.*", category=FutureWarning)
    uri = tracking_uri(settings)
    if uri == settings.local_tracking_uri:
        databases.make_registry(settings)
    said = os.environ.get("MLFLOW_TRACKING_URI")
    mlflow.set_tracking_uri(uri)
    # MLflow writes the address into the environment too, where it would be read as a setting of the user's.
    if said is None:
        os.environ.pop("MLFLOW_TRACKING_URI", None)
    else:
        os.environ["MLFLOW_TRACKING_URI"] = said
    registry = mlflow.MlflowClient(uri)
    try:
        registry.search_registered_models(max_results=1)
    except Exception as error:
        raise HeadgateError(
            f"MLflow at {uri} does not answer ({type(error).__name__}). Nothing was changed. "
            "Start it (`headgate servers`), or set MLFLOW_TRACKING_URI to where it is."
        ) from error
    return registry


def exist(settings: Settings) -> bool:
    """Whether there is a registry to ask: the local database comes with the first retraining, not by asking."""
    return tracking_uri(settings) != settings.local_tracking_uri or settings.local_database.is_file()


def wanted(settings: Settings, domain: str, name: str) -> Version:
    """The version with the number or the alias `name`, for who only reads: makes no registry where there is none."""
    if not exist(settings):
        raise UsageError(
            f"{domain} has no version {name!r}: there is no registry in {settings.home} yet. Retrain first, or set "
            "HEADGATE_HOME to the state folder of your versions."
        )
    return find(client(settings), domain, name)


def all_versions(registry: "MlflowClient", domain: str) -> list[Version]:
    """Every version of `domain`, newest first, with the aliases that point to it."""
    return look(registry, domain)[0]


def look(registry: "MlflowClient", domain: str) -> tuple[list[Version], dict[str, int]]:
    """Every version of `domain`, newest first, and every alias, those that point to a deleted version too."""
    models = registry.search_registered_models(filter_string=f"name = '{domain}'")
    if not models:
        return [], {}
    pointing = {alias: int(number) for alias, number in models[0].aliases.items()}
    aliases: dict[int, list[str]] = {}
    for alias, held in pointing.items():
        aliases.setdefault(held, []).append(alias)
    found: list[Any] = []
    token = None
    while True:
        page = registry.search_model_versions(f"name = '{domain}'", max_results=200, page_token=token)
        found += page
        token = page.token
        if not token:
            break
    versions = [
        Version(
            domain=domain,
            number=int(v.version),
            bundle=v.tags.get(TAG_BUNDLE, ""),
            run_id=v.run_id or "",
            source=v.source,
            aliases=tuple(sorted(aliases.get(int(v.version), ()))),
            stage=v.current_stage or "None",
            tags=dict(v.tags),
            created_ms=v.creation_timestamp,
            changed_ms=v.last_updated_timestamp or v.creation_timestamp,
        )
        for v in found
    ]
    return sorted(versions, key=lambda version: -version.number), pointing


def find(registry: "MlflowClient", domain: str, wanted: str) -> Version:
    """The version with the number or the alias `wanted`."""
    versions = all_versions(registry, domain)
    for version in versions:
        if wanted in version.aliases or str(version.number) == wanted:
            return version
    known = ", ".join([*sorted({a for v in versions for a in v.aliases}), *(str(v.number) for v in versions)][:20])
    where = registry.tracking_uri
    raise UsageError(f"{domain} has no version {wanted!r} in {where}; there are: {known or 'none yet, retrain first'}.")


def champion(registry: "MlflowClient", domain: str) -> Version | None:
    """The version that decides, if there is one."""
    return next((v for v in all_versions(registry, domain) if CHAMPION in v.aliases), None)


def canary_share(tags: Mapping[str, str]) -> float:
    """The share, from 0 to 1, that a registered model's tags give its challenger; 0 where they say no such thing."""
    try:
        share = float(tags.get(TAG_CANARY, "0"))
    except ValueError:
        return 0.0
    return share if 0 < share <= 1 else 0.0


def canary(registry: "MlflowClient", domain: str) -> float:
    """The share of the units, from 0 to 1, that the challenger decides for now."""
    return canary_share(registry.get_registered_model(domain).tags)


@contextmanager
def without_stage_warnings() -> Iterator[None]:
    """MLflow warns at every change of a stage that stages are deprecated; people roll back by them all the same."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        yield


def fetch(version: Version, settings: Settings) -> Path:
    """The version's verified bundle on this disk, from the cache or the registry's artifacts."""
    return fetch_bundle(version.run_id, version.bundle, settings, f"{version.domain} version {version.number}")


def fetch_bundle(run_id: str, bundle: str, settings: Settings, what: str) -> Path:
    """The verified bundle with the id `bundle` that a run logged, for `what`; asks the registry that MLflow is set to.

    Raises HeadgateError where it cannot be fetched, or is not what was registered.
    """
    target = settings.bundles / (bundle or run_id)
    if target.exists():
        try:
            bundles.verify(target, bundle or None)
            return target
        except HeadgateError:
            pass  # a damaged cache is fetched again
    import mlflow

    with atomic_folder(target) as draft:
        scratch = draft / ".download"
        scratch.mkdir()
        try:
            mlflow.artifacts.download_artifacts(f"runs:/{run_id}/bundle", dst_path=str(scratch))
        except Exception as error:
            raise HeadgateError(
                f"The bundle of {what} could not be fetched ({type(error).__name__}: {str(error)[:200]})."
            ) from error
        for path in (scratch / "bundle").iterdir():
            path.rename(draft / path.name)
        (scratch / "bundle").rmdir()
        scratch.rmdir()
        parts.bring(mlflow.MlflowClient(), settings, draft, bundle or None)
        bundles.verify(draft, bundle or None)
    return target
