"""What a command refuses, in one sentence each, before it does anything."""

from pathlib import Path

import pytest

from headgate.domain import NAMES

from .said import Headgate

DOMAINS = f"There is no domain 'fruit'; there are: {', '.join(NAMES)}."
CSV = "import adclicks {here}/log.csv --format csv --out {here}/out"
MAP = "--map click_id=id --map event_time=when --map user_id=visitor --map ip=address"
DAY = "--from 2026-11-27 --to 2026-11-28"
STAGES = "snapshot, validate, train, calibrate, evaluate"

#: Commands, and the sentence that each ends with; `{here}` is an empty folder but for files that hold next to nothing.
SENTENCES = [
    ("simulate fruit --days 1 --out x", DOMAINS),
    ("import fruit x --out y", DOMAINS),
    ("retrain fruit --source x", DOMAINS),
    ("run snapshot fruit", DOMAINS),
    ("decide fruit --on x --out y", DOMAINS),
    ("evaluate fruit --on x", DOMAINS),
    ("data checkout fruit", DOMAINS),
    ("serve fruit", DOMAINS),
    ("rollback fruit --reason x", DOMAINS),
    ("ledger fruit", DOMAINS),
    ("watch fruit --once", DOMAINS),
    ("drill fruit all", DOMAINS),
    (
        "hold adclicks --reason sale --until 2020-01-01",  # a mistyped year must not pass for a freeze
        "The freeze has been over since 2020-01-01 00:00 UTC: check --until.",
    ),
    (
        "retrain adclicks --source x --as-of yesterday",
        "'yesterday' is no date or time: write 2026-01-22 or 2026-01-22T06:00:00+00:00.",
    ),
    (f"{CSV} --map user_id", "--map user_id is not NAME=VALUE, for example --map user_id=visitor."),
    (f"{CSV} --map =visitor", "--map =visitor is not NAME=VALUE, for example --map user_id=visitor."),
    (f"{CSV} --map user_id=", "--map user_id= is not NAME=VALUE, for example --map user_id=visitor."),
    (f"{CSV} --set zone=UTC", "--set zone=… says nothing of clicks"),
    (f"import adclicks {{here}}/no.csv {MAP} --out {{here}}/out", "{here}/no.csv"),
    ("run promote adclicks --params {here}/params.yaml", f"There is no stage 'promote'; there are: {STAGES}."),
    ("run snapshot adclicks --params {here}/no.yaml", "There is no {here}/no.yaml here"),
    ("run snapshot adclicks --params {here}/params.yaml", "There is no folder {here}/nowhere: check --source."),
    ("run validate adclicks --params {here}/params.yaml", "There is no snapshot in {here}/work/adclicks: run that"),
    ("run evaluate adclicks --params {here}/params.yaml", "There is no calibrate in {here}/work/adclicks: run that"),
    ("decide adclicks --on x --out {here}", "{here} is a folder: name a file."),
    (f"capacity forecast --series a/b/c {DAY} --out {{here}}", "{here} is a folder: name a file."),
    ("load capacity --rate 10 --seconds 1", "capacity says of no endpoint that it is asked by the thousand"),
    ("schedule --source adclicks", "--source adclicks is not DOMAIN=DIR"),
    ("gc adclicks --keep-bytes much", "--keep-bytes much is no size: write 500M or 20G."),
]


@pytest.mark.parametrize(("command", "sentence"), SENTENCES, ids=[command for command, _ in SENTENCES])
def test_what_is_refused_is_told_in_one_sentence(
    headgate: Headgate, unmade: Path, tmp_path: Path, command: str, sentence: str
) -> None:
    (tmp_path / "log.csv").write_text("id,when,visitor,address\na,2026-01-05T10:00:00Z,u,192.0.2.1\n")
    request = f"workspace: {tmp_path}/work\nadclicks: {{source: {tmp_path}/nowhere, as_of: '2026-01-08'}}\n"
    (tmp_path / "params.yaml").write_text(request)
    said = headgate(*command.format(here=tmp_path).split())
    assert said.code == 2
    assert sentence.format(here=tmp_path) in said.sentence
    assert not unmade.exists()
    assert {path.name for path in tmp_path.iterdir()} <= {"log.csv", "params.yaml", "work"}


@pytest.mark.parametrize(
    "arguments",
    [
        ["retrain", "adclicks", "--source", "x", "--as-of", "yesterday"],
        ["evaluate", "adclicks", "--on", "x", "--from", "2026-13-01"],
        ["simulate", "adclicks", "--days", "1", "--out", "x", "--start", "5.1.2026"],
        ["simulate", "adclicks", "--days", "0", "--out", "x"],
        ["simulate", "adclicks", "--days", "many", "--out", "x"],
        ["simulate", "adclicks", "--out", "x"],
        ["simulate", "adclicks", "--days", "1", "--seed", "-1", "--out", "x"],
        ["retrain", "adclicks"],
        ["unknown"],
        ["status", "--yaml"],
    ],
)
def test_what_cannot_be_read_is_a_usage_error(
    headgate: Headgate, arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    said = headgate(*arguments)
    assert said.code == 2
    assert "Traceback" not in said.err
    assert list(tmp_path.iterdir()) == []
