"""One order of stages, three places that follow it: `headgate.stages`, `dvc.yaml` and the Prefect flow."""

import ast
from pathlib import Path

import yaml

from headgate.domain import NAMES
from headgate.stages import STAGES

ROOT = Path(__file__).parents[1]
ORDER = ["snapshot", *STAGES]
PIPELINE = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]


def test_dvc_has_the_stages_in_their_order() -> None:
    assert list(PIPELINE) == ORDER


def test_each_dvc_stage_depends_on_stages_before_it_and_on_the_one_just_before() -> None:
    for number, (name, stage) in enumerate(PIPELINE.items()):
        needs = [Path(path).name for path in stage.get("deps", [])]
        assert all(need in ORDER[:number] for need in needs), name
        assert number == 0 or ORDER[number - 1] in needs, name
        assert [Path(path).name for path in stage["outs"]] == [name]
        assert stage["cmd"] == f"headgate run {name} ${{item.domain}}"


def test_dvc_runs_every_domain() -> None:
    for stage in PIPELINE.values():
        assert stage["matrix"]["domain"] == list(NAMES)


def test_the_flow_calls_the_stages_in_their_order_and_promotes_last() -> None:
    tree = ast.parse((ROOT / "flows" / "retrain.py").read_text())
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    called = [_called(functions, name) for name in _calls(functions["candidate"]) if name in functions]
    stages = [stage for names in called for stage in names if stage in ORDER]
    assert stages == ORDER
    after = [
        name
        for name in _calls(functions["candidate"])
        if name in ("evaluate", "judged", "record", "register", "promote")
    ]
    assert after == ["evaluate", "judged", "record", "register", "promote"]


def _called(functions: dict[str, ast.FunctionDef], name: str) -> list[str]:
    """Attributes of `stages` that a task calls."""
    return [
        node.attr
        for node in ast.walk(functions[name])
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "stages"
    ]


def _calls(function: ast.FunctionDef) -> list[str]:
    """Plain names that a function calls, in the order of the text."""
    calls = [node for node in ast.walk(function) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]
    return [node.func.id for node in sorted(calls, key=lambda node: (node.lineno, node.col_offset))]  # type: ignore[attr-defined]
