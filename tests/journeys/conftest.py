"""What journeys share: a checkout that knows the toy domain `rooms`."""

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
TOY = ROOT / "tests" / "toy.py"
AS_OF = datetime(2026, 2, 16, tzinfo=UTC)  # 42 days from 2026-01-05 on are over


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of this checkout that knows the toy, by the edits that the page asks for."""
    root = tmp_path_factory.mktemp("checkout")
    made = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for folder in ("components", "flows"):
        shutil.copytree(ROOT / folder, root / folder, ignore=made)
    rooms = root / "components" / "headgate" / "domains" / "rooms"
    rooms.mkdir()
    (rooms / "__init__.py").touch()
    shutil.copyfile(TOY, rooms / "domain.py")
    names = rooms.parent / "__init__.py"
    known = names.read_text().replace('"capacity")', '"capacity", "rooms")')
    names.write_text(known)
    pipeline = (ROOT / "dvc.yaml").read_text()
    (root / "dvc.yaml").write_text(pipeline.replace("capacity]", "capacity, rooms]"))
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["rooms"] = {"source": "days", "as_of": AS_OF.isoformat(), "base": "", "seed": 0}
    (root / "params.yaml").write_text(yaml.safe_dump(params | {"workspace": "work"}))
    return root
