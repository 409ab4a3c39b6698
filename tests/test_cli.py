"""The command line: one clear sentence and the documented exit code, whatever it is asked or given."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

import polars as pl
import pytest
import yaml

from headgate import cli, domains, settings
from headgate.data import datasets
from headgate.domain import NAMES
from headgate.domains.adclicks.simulated.simulator import SCENARIOS, simulate
from headgate.domains.adclicks.simulated.sizes import ClickSizes
from headgate.operations import retrain
from headgate.orchestration import outcome
from headgate.orchestration.outcome import Outcome
from headgate.registry import versions
from headgate.settings import Settings

#: What takes seconds to import.
HEAVY = "torch mlflow lightning prefect great_expectations polars numpy pandas lightgbm sklearn scipy dvc boto3 onnx"

COMMANDS = ["simulate", "import", "retrain", "run", "decide", "evaluate", "status", "data", "serve", "servers", "demo"]


@dataclass(frozen=True)
class Said:
    """What a command answered."""

    code: int
    out: str
    err: str

    @property
    def sentence(self) -> str:
        """The last line on standard error; what comes before it tells the step that was under way."""
        assert "Traceback" not in self.err + self.out
        *before, last = self.err.strip().splitlines()
        assert all(line.endswith(("failed", " s")) for line in before), self.err
        return last


Headgate = Callable[..., Said]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A state folder of its own, with nothing in it."""
    folder = tmp_path_factory.mktemp("home") / "state"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEADGATE_HOME", str(folder))
        yield folder


@pytest.fixture
def headgate(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Headgate:
    """Run a command as the console script does, in this process."""

    def call(*arguments: object) -> Said:
        monkeypatch.setattr(sys, "argv", ["headgate", *map(str, arguments)])
        code: Any = 0
        try:
            cli.main()
        except SystemExit as end:
            code = end.code
        said = capsys.readouterr()
        return Said(code or 0, said.out, said.err)

    return call


@pytest.fixture
def unmade(headgate: Headgate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state folder that is not there yet."""
    monkeypatch.setenv("HEADGATE_HOME", str(tmp_path / "unmade"))
    return tmp_path / "unmade"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three days of a few clicks."""
    out = tmp_path_factory.mktemp("tiny") / "raw"
    simulate(out, ClickSizes(days=3, clicks_per_day=300), seed=1)
    return out


@pytest.fixture
def asked(tmp_path: Path) -> Callable[..., list[str]]:
    """The options that lead `headgate run` to a request."""

    def write(source: Path, *, workspace: Path | None = None, as_of: str = "2026-01-08") -> list[str]:
        values = {"workspace": str(workspace or tmp_path), "adclicks": {"source": str(source), "as_of": as_of}}
        (tmp_path / "params.yaml").write_text(yaml.safe_dump(values))
        return ["adclicks", "--params", str(tmp_path / "params.yaml")]

    return write


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# -- help --------------------------------------------------------------------------------------------------------------


def test_help_names_every_command_and_imports_nothing_heavy() -> None:
    script = f"""
import sys
from headgate import cli
for command in [[], *([name] for name in {COMMANDS})]:
    sys.argv = ["headgate", *command, "--help"]
    try:
        cli.main()
    except SystemExit as end:
        assert not end.code, command
found = set({HEAVY.split()}) & set(sys.modules)
assert not found, found
"""
    environment = os.environ | {"COLUMNS": "120"}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    for name in COMMANDS:
        assert f" {name} " in done.stdout
    assert "3 refused by the gate, 4 data refused" in done.stdout


def test_no_command_at_all_shows_the_help(headgate: Headgate) -> None:
    said = headgate()
    assert "Usage" in said.out + said.err
    assert said.code in (0, 2)


# -- holds -------------------------------------------------------------------------------------------------------------


def test_a_freeze_that_is_over_already_holds_nothing_and_is_refused(headgate: Headgate, unmade: Path) -> None:
    """A mistyped year must not leave an operator with the belief that a sale is frozen."""
    said = headgate("hold", "adclicks", "--reason", "a sale", "--until", "2020-01-01")
    assert said.code == 2
    assert said.sentence == "The freeze has been over since 2020-01-01 00:00 UTC: check --until."
    assert not unmade.exists()


def test_a_backup_into_a_folder_that_is_not_there_yet_makes_it(
    headgate: Headgate, unmade: Path, tmp_path: Path
) -> None:
    """As in the operator's guide: without the folder, every night would overwrite the backup of the night before."""
    assert headgate("hold", "adclicks", "--reason", "a sale").code == 0
    said = headgate("backup", "--out", f"{tmp_path}/backups/")
    assert said.code == 0, said.err
    (made,) = (tmp_path / "backups").iterdir()
    assert made.is_file()


# -- usage -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        ["simulate", "fruit", "--days", "1", "--out", "x"],
        ["retrain", "fruit", "--source", "x"],
        ["run", "snapshot", "fruit"],
        ["decide", "fruit", "--on", "x", "--out", "y"],
        ["evaluate", "fruit", "--on", "x"],
        ["data", "checkout", "fruit"],
        ["serve", "fruit"],
    ],
)
def test_an_unknown_domain_is_told_with_those_there_are(headgate: Headgate, arguments: list[str]) -> None:
    said = headgate(*arguments)
    assert (said.code, said.sentence) == (2, f"There is no domain 'fruit'; there are: {', '.join(NAMES)}.")


def test_a_size_of_another_domain_is_refused(headgate: Headgate, tmp_path: Path) -> None:
    said = headgate("simulate", "capacity", "--days", 7, "--clicks-per-day", 100, "--out", tmp_path / "out")
    assert (said.code, said.sentence) == (2, "capacity has no --clicks-per-day.")


def test_a_fact_that_a_domain_does_not_take_is_refused(headgate: Headgate, tmp_path: Path) -> None:
    said = headgate("import", "adclicks", tmp_path / "x.csv", "--format", "csv", "--set", "zone=UTC", "--out", tmp_path)
    assert said.code == 2
    assert "--set zone=… says nothing of clicks" in said.err


def test_an_unknown_scenario_is_told_with_all_there_are(headgate: Headgate, tmp_path: Path) -> None:
    said = headgate("simulate", "adclicks", "--days", 1, "--scenario", "sunny", "--out", tmp_path / "out")
    assert said.code == 2
    assert "There is no scenario 'sunny'" in said.err
    for name, what in SCENARIOS.items():
        assert name in said.err
        assert what in said.err
    assert not (tmp_path / "out").exists()


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


def test_a_date_that_is_none_is_told_with_how_to_write_one(headgate: Headgate) -> None:
    said = headgate("retrain", "adclicks", "--source", "x", "--as-of", "yesterday")
    assert said.sentence == "'yesterday' is no date or time: write 2026-01-22 or 2026-01-22T06:00:00+00:00."


def test_simulating_into_a_folder_that_holds_something_leaves_it(headgate: Headgate, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("precious")
    said = headgate("simulate", "adclicks", "--days", 1, "--clicks-per-day", 100, "--out", tmp_path)
    assert said.code == 2
    assert f"{tmp_path} already exists and is not an empty folder" in said.sentence
    assert files(tmp_path) == {"mine": b"precious"}


def test_simulating_tells_where_the_files_and_their_truth_are(headgate: Headgate, tmp_path: Path) -> None:
    out = tmp_path / "out"
    said = headgate("simulate", "adclicks", "--days", 1, "--clicks-per-day", 100, "--start", "2026-02-03", "--out", out)
    assert (said.code, said.err) == (0, "")  # no progress bar where nobody looks
    assert said.out.strip() == f"{out} holds 1 day of adclicks (calm), and {out}.truth their hidden truth."
    assert (out / "clicks" / "2026-02-03.parquet").is_file()


@pytest.mark.parametrize("port", ["abc", "0", "65536", "-1", "80.5"])
def test_a_port_that_is_none_is_a_usage_error(headgate: Headgate, monkeypatch: pytest.MonkeyPatch, port: str) -> None:
    monkeypatch.setenv("HEADGATE_PORT", port)
    said = headgate("status")
    assert (said.code, said.sentence) == (2, f"HEADGATE_PORT={port} is no port: give a number from 1 to 65535.")


# -- import ------------------------------------------------------------------------------------------------------------


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


@pytest.mark.parametrize("pair", ["user_id", "=visitor", "user_id=", ""])
def test_a_map_that_is_no_pair_is_a_usage_error(headgate: Headgate, csv: Path, tmp_path: Path, pair: str) -> None:
    said = headgate("import", "adclicks", csv, "--format", "csv", "--map", pair, "--out", tmp_path / "out")
    assert said.code == 2
    assert said.sentence == f"--map {pair} is not NAME=VALUE, for example --map user_id=visitor."


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


def test_a_file_to_import_that_is_not_there_is_named(headgate: Headgate, tmp_path: Path) -> None:
    said = headgate("import", "adclicks", tmp_path / "no.csv", "--format", "csv", *MAP, "--out", tmp_path / "out")
    assert said.code == 2
    assert str(tmp_path / "no.csv") in said.sentence


# -- run ---------------------------------------------------------------------------------------------------------------


def test_a_stage_runs_and_tells_how_long_it_took(headgate: Headgate, asked: Any, tiny: Path, tmp_path: Path) -> None:
    said = headgate("run", "snapshot", *asked(tiny))
    assert (said.code, said.out) == (0, "")
    assert said.err.startswith("  snapshot")
    assert (tmp_path / "adclicks" / "snapshot" / "snapshot.json").is_file()


def test_a_source_that_is_not_there_is_named(headgate: Headgate, asked: Any, tmp_path: Path) -> None:
    said = headgate("run", "snapshot", *asked(tmp_path / "nowhere"))
    assert (said.code, said.sentence) == (2, f"There is no folder {tmp_path / 'nowhere'}: check --source.")


def test_a_stage_that_there_is_not_is_told_with_all_there_are(headgate: Headgate, asked: Any, tiny: Path) -> None:
    said = headgate("run", "promote", *asked(tiny))
    names = "snapshot, validate, train, calibrate, evaluate"
    assert (said.code, said.sentence) == (2, f"There is no stage 'promote'; there are: {names}.")


def test_params_that_are_not_there_are_a_usage_error(headgate: Headgate, tmp_path: Path) -> None:
    said = headgate("run", "snapshot", "adclicks", "--params", tmp_path / "params.yaml")
    assert said.code == 2
    assert f"There is no {tmp_path / 'params.yaml'} here" in said.sentence


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "workspace: w",
        "workspace: w\nadclicks:",
        "workspace: w\nadclicks: {source: s}",
        "adclicks: {source: s, as_of: '2026-01-08'}",
        "workspace: w\nadclicks: {{{",
        "\x00",
    ],
)
def test_params_that_hold_no_request_are_a_usage_error(headgate: Headgate, tmp_path: Path, text: str) -> None:
    (tmp_path / "params.yaml").write_text(text)
    said = headgate("run", "snapshot", "adclicks", "--params", tmp_path / "params.yaml")
    assert said.code == 2
    assert "params.yaml holds no request for adclicks: it needs `workspace`, and `adclicks` with" in said.sentence


@pytest.mark.parametrize(("stage", "before"), [("validate", "snapshot"), ("evaluate", "calibrate")])
def test_a_stage_without_the_one_before_it_says_which(
    headgate: Headgate, asked: Any, tiny: Path, tmp_path: Path, stage: str, before: str
) -> None:
    said = headgate("run", stage, *asked(tiny))
    assert said.code == 2
    assert said.sentence == f"There is no {before} in {tmp_path / 'adclicks'}: run that stage first."


# -- bad data ----------------------------------------------------------------------------------------------------------


def _truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _no_parquet(path: Path) -> None:
    path.write_text("click_id,user_id\n")


def _more_columns(path: Path) -> None:
    pl.read_parquet(path).with_columns(colour=pl.lit("red")).write_parquet(path)


def _fewer_columns(path: Path) -> None:
    pl.read_parquet(path).drop("ip").write_parquet(path)


def _other_types(path: Path) -> None:
    pl.read_parquet(path).with_columns(pl.col("event_time").cast(pl.String)).write_parquet(path)


def _no_rows(path: Path) -> None:
    pl.read_parquet(path).clear().write_parquet(path)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_truncated, "is no whole Parquet file: copy or export it again."),
        (_empty, "is empty (0 bytes): copy or export it again."),
        (_no_parquet, "is no whole Parquet file: copy or export it again."),
        (_more_columns, "has the column colour, which clicks does not know: remove it."),
        (_fewer_columns, "lacks the column ip of clicks: add it."),
        (_other_types, "column event_time is String, expected Datetime"),
        (_no_rows, "holds no clicks: remove it, or export that day again."),
    ],
)
def test_a_spoilt_file_is_refused_and_the_last_snapshot_stays(
    headgate: Headgate, asked: Any, tiny: Path, tmp_path: Path, spoil: Callable[[Path], None], words: str
) -> None:
    assert headgate("run", "snapshot", *asked(tiny)).code == 0
    before = files(tmp_path / "adclicks")
    for path in tiny.rglob("*.parquet"):
        target = tmp_path / "source" / path.relative_to(tiny)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    spoil(tmp_path / "source" / "clicks" / "2026-01-06.parquet")
    said = headgate("run", "snapshot", *asked(tmp_path / "source"))
    assert said.code == 4
    assert said.sentence.startswith(str(tmp_path / "source" / "clicks" / "2026-01-06.parquet"))
    assert words in said.sentence
    assert files(tmp_path / "adclicks") == before
    assert [path.name for path in (tmp_path / "adclicks").iterdir()] == ["snapshot"]


def test_an_empty_source_is_refused(headgate: Headgate, asked: Any, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    said = headgate("run", "snapshot", *asked(tmp_path / "empty"))
    assert said.code == 4
    assert f"{tmp_path / 'empty'} has no clicks from" in said.sentence


# -- retrain -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def without_prefect(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever asks for Prefect fails: what is refused at once must not wait for it."""

    def too_late(here: Settings) -> NoReturn:
        raise AssertionError("Prefect was asked for")

    monkeypatch.setattr(retrain, "prefect", too_late)


@pytest.mark.usefixtures("without_prefect")
def test_a_source_that_is_none_is_refused_before_anything_starts(headgate: Headgate, tmp_path: Path) -> None:
    said = headgate("retrain", "adclicks", "--source", tmp_path / "nowhere")
    assert (said.code, said.sentence) == (2, f"There is no folder {tmp_path / 'nowhere'}: check --source.")
    (tmp_path / "file").touch()
    said = headgate("retrain", "adclicks", "--source", tmp_path / "file")
    assert (said.code, f"{tmp_path / 'file'} is a file: give --source the folder" in said.sentence) == (2, True)


@pytest.mark.usefixtures("without_prefect")
@pytest.mark.parametrize("lock", ["lock", "start.lock"])
def test_a_second_run_is_refused_before_anything_starts(headgate: Headgate, tiny: Path, lock: str) -> None:
    with datasets.exclusively(settings.load(), "adclicks", suffix=lock):
        said = headgate("retrain", "adclicks", "--source", tiny)
    assert said.code == 1
    assert said.sentence.startswith(f"Another run holds adclicks (process {os.getpid()}). Nothing was changed")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_stopped_says_what_decides(
    headgate: Headgate, tiny: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    monkeypatch.setattr(retrain, "prefect", lambda here: signal.raise_signal(number))
    before = signal.getsignal(signal.SIGTERM)
    theirs = signal.signal(signal.SIGINT, signal.default_int_handler)  # a command before may have left its own
    said = headgate("retrain", "adclicks", "--source", tiny)
    signal.signal(signal.SIGINT, theirs)
    assert (said.code, said.sentence) == (130, "Stopped; the champion stays as it was.")
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_run_that_was_stopped_after_its_outcome_ended_with_it(
    headgate: Headgate, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = Outcome("adclicks", "2026-01-08", "promoted", (), 1, "r", "b", False, "adclicks version 1 is promoted.")

    def stop(here: Settings) -> None:
        ended.write(here)
        raise KeyboardInterrupt

    monkeypatch.setattr(retrain, "prefect", stop)
    said = headgate("retrain", "adclicks", "--source", tiny)
    assert (said.code, said.out.strip()) == (0, ended.words)


@pytest.mark.parametrize("address", ["http://127.0.0.1:9/api", "nonsense"])
def test_a_prefect_that_does_not_answer_is_told(
    headgate: Headgate, tiny: Path, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    from prefect.settings import PREFECT_API_URL, temporary_settings

    monkeypatch.setenv("PREFECT_API_URL", address)
    with temporary_settings({PREFECT_API_URL: address}):
        said = headgate("retrain", "adclicks", "--source", tiny)
    assert said.code == 1
    assert said.sentence.startswith(f"Prefect at {address} does not answer (")
    assert "or set PREFECT_API_URL to where it is, as http://127.0.0.1:4200/api." in said.sentence


def test_status_tells_a_run_that_did_not_end(headgate: Headgate) -> None:
    began = "from datetime import *; from headgate import settings; from headgate.orchestration import outcome;"
    began += "outcome.begin(settings.load(), 'adclicks', datetime.now(UTC))"
    subprocess.run([sys.executable, "-c", began], check=True)  # its process is gone
    assert "last run    did not end: what began at 20" in headgate("status").out
    outcome.begin(settings.load(), "adclicks", datetime.now(UTC))
    assert "last run    under way: since 20" in headgate("status").out
    assert Outcome.read(settings.load(), "adclicks") is None


# -- faults ------------------------------------------------------------------------------------------------------------


def test_an_unforeseen_fault_is_a_sentence_and_its_story_a_file(
    headgate: Headgate, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(name: str) -> None:
        raise RuntimeError("first line\nsecond line")

    monkeypatch.setattr(domains, "get_domain", fail)
    said = headgate("simulate", "adclicks", "--days", 1, "--out", "x")
    log = home / "logs" / "fault.log"
    assert (said.code, len(said.err.splitlines())) == (1, 1)
    assert said.sentence == (
        f"A fault that Headgate did not foresee (RuntimeError: first line second line). The whole story is in {log}."
    )
    story = log.read_text()
    assert "headgate simulate adclicks --days 1 --out x" in story
    assert "Traceback" in story
    assert "second line" in story


def test_a_fault_that_cannot_be_written_down_is_told_all_the_same(
    headgate: Headgate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("HEADGATE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr(domains, "get_domain", lambda name: 1 / 0)
    said = headgate("simulate", "adclicks", "--days", 1, "--out", "x")
    assert said.code == 1
    assert said.sentence == "A fault that Headgate did not foresee (ZeroDivisionError: division by zero)."


def test_ctrl_c_is_no_fault(headgate: Headgate, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(name: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(domains, "get_domain", stop)
    said = headgate("simulate", "adclicks", "--days", 1, "--out", "x")
    assert said.code == 130
    assert "Traceback" not in said.err


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 3 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m", "none", disk], capture_output=True, text=True, check=False
    )
    if mount.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {mount.stderr.strip()}")
    yield disk
    subprocess.run(["umount", disk], check=True)


def test_a_full_disk_is_told_and_leaves_what_was_there(
    headgate: Headgate, asked: Any, small_disk: Path, tmp_path: Path
) -> None:
    simulate(tmp_path / "raw", ClickSizes(days=17, clicks_per_day=1_000), seed=1)
    options = asked(tmp_path / "raw", workspace=small_disk, as_of="2026-01-22")
    assert headgate("run", "snapshot", *options).code == 0
    work = small_disk / "adclicks"
    (work / "validate").mkdir()
    (work / "train").mkdir()
    (work / "train" / "model").write_text("old")
    before = files(work)
    with pytest.raises(OSError, match="No space left"):
        (small_disk / "ballast").write_bytes(b"\0" * (3 << 20))
    os.truncate(small_disk / "ballast", (small_disk / "ballast").stat().st_size - (40 << 10))
    for stage in ("train", "snapshot"):
        said = headgate("run", stage, *options)
        assert said.code == 1
        assert said.sentence.startswith("The disk is full. What was there before is unchanged: make room")
        assert files(work) == before
        assert {path.name for path in work.iterdir()} == {"snapshot", "validate", "train"}


# -- the registry ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        ["decide", "adclicks", "--on", "x", "--out", "decisions.parquet"],
        ["evaluate", "adclicks", "--on", "x", "--version", "champion"],
        ["data", "checkout", "adclicks"],
        ["forecast", "capacity", "--series", "a/b/c", "--from", "2026-11-27", "--to", "2026-11-28", "--out", "x.csv"],
    ],
)
def test_before_the_first_version_the_way_to_one_is_told_and_nothing_is_made(
    headgate: Headgate, unmade: Path, arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    domain = "capacity" if "capacity" in arguments else "adclicks"
    said = headgate(*arguments)
    assert said.code == 2
    assert said.sentence.startswith(f"{domain} has no version 'champion': there is no registry in {unmade} yet.")
    assert "HEADGATE_HOME" in said.sentence
    assert list(Path.cwd().iterdir()) == []
    assert not unmade.exists()


def test_before_the_first_version_status_says_so_and_where_it_looked(headgate: Headgate, unmade: Path) -> None:
    said = headgate("status")
    assert (said.code, said.err) == (0, "")
    assert "adclicks" in said.out
    assert f"state        {unmade}" in said.out
    domains = json.loads(headgate("status", "--json").out)["domains"]
    assert [domain["champion"] for domain in domains] == [None, None]
    assert not unmade.exists()


def test_a_version_that_there_is_not_is_told_with_where_it_was_looked_for(headgate: Headgate, home: Path) -> None:
    versions.client(settings.load())  # makes an empty registry
    said = headgate("data", "checkout", "adclicks")
    assert said.code == 2
    assert (
        f"has no version 'champion' in sqlite:///{home / 'mlflow' / 'mlflow.db'}; there are: none yet" in said.sentence
    )


def test_data_is_checked_out_below_the_state_folder(
    headgate: Headgate, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow.artifacts

    version = versions.Version("adclicks", 7, "b", "r", "", ("champion",), "None", {}, 0, 0)
    monkeypatch.setattr(versions, "wanted", lambda here, domain, name: version)
    monkeypatch.setattr(mlflow.artifacts, "load_text", lambda uri: "{}")
    monkeypatch.setattr(datasets, "checkout", lambda here, lock, target: [target / "snapshot"])
    said = headgate("data", "checkout", "adclicks")
    target = home / "checkout" / "adclicks-7"
    assert said.out.strip() == f"The data of adclicks version champion is in {target}: snapshot."


@pytest.mark.parametrize(
    "arguments",
    [
        ["decide", "adclicks", "--on", "x"],
        ["forecast", "capacity", "--series", "a/b/c", "--from", "2026-11-27", "--to", "2026-11-28"],
    ],
)
def test_a_folder_where_a_file_is_to_be_is_refused_before_the_work(
    headgate: Headgate, tmp_path: Path, arguments: list[str]
) -> None:
    said = headgate(*arguments, "--out", tmp_path)
    assert (said.code, said.sentence) == (2, f"{tmp_path} is a folder: name a file.")


@pytest.mark.parametrize(
    "where", ["/proc/nope", "/proc/nope/state", "a file", "below a file", "~nobody-of-that-name/x"]
)
def test_a_state_folder_that_cannot_be_is_a_usage_error(
    headgate: Headgate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    (tmp_path / "file").touch()
    where = {"a file": str(tmp_path / "file"), "below a file": str(tmp_path / "file" / "state")}.get(where, where)
    monkeypatch.setenv("HEADGATE_HOME", where)
    said = headgate("status")
    assert said.code == 2
    assert said.sentence.startswith(f"HEADGATE_HOME={where} can be no folder (")


def test_a_registry_that_does_not_answer_is_told_in_bounded_time(
    headgate: Headgate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    said = headgate("status")
    assert said.code == 1
    assert said.sentence.startswith("MLflow at http://127.0.0.1:9 does not answer")
    assert "Start it (`headgate servers`), or set MLFLOW_TRACKING_URI to where it is." in said.sentence
    assert int(os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"]) <= 2
    assert int(os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"]) <= 10
