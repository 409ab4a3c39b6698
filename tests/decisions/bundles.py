"""Versions of the toy: bundles that say how warm each room usually is, and how far from it is too far."""

import shutil
from collections.abc import Mapping
from pathlib import Path

from headgate.files import write_json
from headgate.registry import versions
from headgate.registry.bundles import CARD, bundle_id, seal_bundle

from ..registry.conftest import Registry
from .made import SLICES, USUAL


def make_bundle(folder: Path, width: float, **usual: float) -> Path:
    """A sealed bundle below `folder`: more than `width` degrees off is too cold or too hot; `usual` by room."""
    means: Mapping[str, float] = dict.fromkeys(SLICES, USUAL) | usual
    name = "-".join([f"{width:g}", *(f"{room}{degrees:g}" for room, degrees in usual.items())])
    write_json(folder / f"{name}-parts" / CARD, {"domain": "rooms", "means": means, "width": width})
    seal_bundle([folder / f"{name}-parts"], folder / name)
    return folder / name


def register(registry: Registry, width: float, ruling: str = "passed", **usual: float) -> int:
    """Register a version whose bundle is in this machine's cache; its number."""
    bundle = make_bundle(registry.settings.home / "made", width, **usual)
    shutil.copytree(bundle, registry.settings.bundles / bundle_id(bundle), dirs_exist_ok=True)
    return registry.register(ruling, **{versions.TAG_BUNDLE: bundle_id(bundle)})
