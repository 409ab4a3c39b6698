"""`headgate import DOMAIN`: its own formats, and what an import tells."""

import json
from pathlib import Path

import pytest

from headgate.domain import NAMES, get_domain

from .said import Headgate


@pytest.mark.parametrize("name", NAMES)
def test_the_help_shows_the_formats_of_one_domain(headgate: Headgate, name: str) -> None:
    shown = " ".join(headgate("import", name, "--help").out.replace("│", " ").split())
    others = {other: get_domain(other).formats for other in NAMES}
    own = others.pop(name)
    assert all(f"{format}: " in shown for format in own)
    assert not [format for formats in others.values() for format in formats if format not in own and format in shown]


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    path = tmp_path / "log.csv"
    path.write_text("id,when,visitor,address\na,2026-01-05T10:00:00Z,u,192.0.2.1\n")
    return path


MAP = ("--map", "click_id=id", "--map", "event_time=when", "--map", "user_id=visitor", "--map", "ip=address")


def test_an_import_answers_in_json_for_programs(headgate: Headgate, csv: Path, tmp_path: Path) -> None:
    said = headgate("import", "adclicks", csv, "--format", "csv", *MAP, "--out", tmp_path / "out", "--json")
    assert (said.code, said.err) == (0, "")
    report = json.loads(said.out)
    assert (report["clicks"], report["days"]) == (1, ["2026-01-05"])


def test_an_import_of_one_day_says_so(headgate: Headgate, csv: Path, tmp_path: Path) -> None:
    said = headgate("import", "adclicks", csv, "--format", "csv", *MAP, "--out", tmp_path / "out")
    assert "1 clicks and 0 purchases of 1 day are in" in said.out


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        (("--map", "colour=id"), "colour"),
        (("--map", "session_id=nowhere"), "nowhere"),
        (("--format", "xml"), "xml"),
    ],
)
def test_a_map_or_a_format_that_leads_nowhere_is_named(
    headgate: Headgate, csv: Path, tmp_path: Path, changed: tuple[str, str], named: str
) -> None:
    said = headgate("import", "adclicks", csv, "--format", "csv", *MAP, *changed, "--out", tmp_path / "out")
    assert said.code == 2
    assert named in said.sentence
    assert not (tmp_path / "out").exists()
