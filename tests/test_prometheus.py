"""The alerts, played by Prometheus' own tool: each fires when what it warns of lasts, and none on a calm day."""

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

ALERTS = Path(__file__).resolve().parents[1] / "infra" / "alerts.yaml"

pytestmark = pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is missing: apt-get install prometheus")

MINUTES = 40

#: A process on which all is well, a value a minute.
CALM = {
    'up{job="headgate",instance="a"}': "1",
    'headgate_champion_version{instance="a",domain="adclicks"}': "7",
    'headgate_problem{instance="a",domain="adclicks"}': "0",
    'headgate_log_failing{instance="a",domain="adclicks"}': "0",
    'headgate_log_lost_rows_total{instance="a",domain="adclicks"}': "0",
    'headgate_counters_away{instance="a",domain="adclicks"}': "0",
    'headgate_lookups_away{instance="a"}': "0",
    'headgate_companion_problem{instance="a",domain="adclicks",companion="lookups"}': "0",
    'headgate_default_answers_total{instance="a",domain="adclicks"}': "0",
    'headgate_incomplete_total{instance="a",domain="adclicks"}': "0",
    'headgate_decisions_total{instance="a",domain="adclicks"}': "0+60000",
    'headgate_request_seconds_bucket{instance="a",path="/v1/adclicks/decisions",le="0.002"}': "0+59900",
    'headgate_request_seconds_bucket{instance="a",path="/v1/adclicks/decisions",le="0.005"}': "0+60000",
    'headgate_request_seconds_bucket{instance="a",path="/v1/adclicks/decisions",le="+Inf"}': "0+60000",
    'headgate_request_seconds_count{instance="a",path="/v1/adclicks/decisions",status="200"}': "0+60000",
}

#: What changes when that happens which an alert warns of; None: the series is not there.
TROUBLES: dict[str, dict[str, str | None]] = {
    "HeadgateDown": {'up{job="headgate",instance="a"}': "0"},
    "HeadgateNoChampion": {'headgate_champion_version{instance="a",domain="adclicks"}': None},
    "HeadgateProblem": {'headgate_problem{instance="a",domain="adclicks"}': "1"},
    "HeadgateVersionsDiffer": {'headgate_champion_version{instance="b",domain="adclicks"}': "6"},
    "HeadgateLogFailing": {'headgate_log_lost_rows_total{instance="a",domain="adclicks"}': "0+1"},
    "HeadgateCountersAway": {'headgate_counters_away{instance="a",domain="adclicks"}': "1"},
    "HeadgateDefaultAnswers": {'headgate_default_answers_total{instance="a",domain="adclicks"}': "0+70"},
    "HeadgateIncompleteWindows": {'headgate_incomplete_total{instance="a",domain="adclicks"}': "0+700"},
    "HeadgateSlow": {
        'headgate_request_seconds_bucket{instance="a",path="/v1/adclicks/decisions",le="0.005"}': "0+59930",
        'headgate_request_seconds_bucket{instance="a",path="/v1/adclicks/decisions",le="0.01"}': "0+60000",
    },
    "HeadgateFaults": {
        'headgate_request_seconds_count{instance="a",path="/v1/adclicks/decisions",status="500"}': "0+1"
    },
    "HeadgateCompanionProblem": {'headgate_companion_problem{instance="a",domain="adclicks",companion="lookups"}': "1"},
    "HeadgateLookupsAway": {'headgate_lookups_away{instance="a"}': "1"},
}


def played(folder: Path, series: dict[str, str | None], firing: list[str]) -> str:
    """What promtool says against `firing` being the alerts that fire at the end; nothing where that is so."""
    shown = {name: value for name, value in series.items() if value is not None}
    inputs = [
        {"series": name, "values": f"{value}x{MINUTES}" if "+" in value else f"{value}+0x{MINUTES}"}
        for name, value in shown.items()
    ]
    question = {
        "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
        "eval_time": f"{MINUTES}m",
        "exp_samples": [{"labels": f'{{alertname="{name}"}}', "value": 1} for name in firing],
    }
    played = {"interval": "1m", "input_series": inputs, "promql_expr_test": [question]}
    file = folder / "test.yaml"
    file.write_text(yaml.safe_dump({"rule_files": [str(ALERTS)], "evaluation_interval": "1m", "tests": [played]}))
    done = subprocess.run(["promtool", "test", "rules", str(file)], capture_output=True, text=True, timeout=60)
    return "" if done.returncode == 0 else done.stdout + done.stderr


@pytest.mark.parametrize("name", TROUBLES)
def test_each_alert_fires_when_what_it_warns_of_lasts(name: str, tmp_path: Path) -> None:
    assert played(tmp_path, CALM | TROUBLES[name], [name]) == ""


def test_no_alert_fires_on_a_calm_day(tmp_path: Path) -> None:
    assert played(tmp_path, dict(CALM), []) == ""


def test_every_alert_is_rehearsed() -> None:
    rules = [rule["alert"] for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]
    assert set(rules) == set(TROUBLES)
