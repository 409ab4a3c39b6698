"""A registry and a ledger to which something has happened."""

import shutil
from pathlib import Path
from typing import Any

from headgate.contract.checks import Check, Verdict
from headgate.registry.ledger import Entry, Ledger
from headgate.settings import Settings

#: What the gate said of version 2, which it refused.
VERDICT = Verdict(
    (
        Check("data", "volume", "passed", "refuse", "24,612 rows", "within 30 % of Mondays", "As many as on Mondays."),
        Check(
            "model against champion",
            "WAPE",
            "failed",
            "refuse",
            "+0.031 (95 % from 0.012 to 0.050)",
            "at most +0.020",
            "The candidate's WAPE is worse than the champion's by 0.031: it must be shown to be no worse than 0.020.",
        ),
        Check(
            "change",
            "jumps",
            "failed",
            "review",
            "8 % of the series",
            "at most 5 %",
            "eu-central/cart/requests jumps by 18 % on <2026-02-20> & nothing explains it: look at its plot.",
        ),
        Check("budget", "weekly peaks", "not judged", "refuse", "3 weeks", "8 weeks", "Too few weeks have peaks yet."),
        Check("infrastructure", "latency", "passed", "refuse", "× 1.04", "at most × 2", "As quick as the champion."),
    )
)


def write_history(here: Settings, name: str, empty_database: Path) -> Settings:
    """`here` with a registry and a ledger: version 1 is champion, 2 was refused, 3 waits, and promotion is held."""
    from mlflow import MlflowClient

    here.mlflow_home.mkdir(parents=True)
    shutil.copyfile(empty_database, here.local_database)
    client, ledger = MlflowClient(here.local_tracking_uri), Ledger(here)
    experiment = client.create_experiment(name, artifact_location=(here.home / "artifacts").as_uri())
    client.create_registered_model(name)
    for number, ruling in enumerate(("passed", "refused", "review"), 1):
        run = client.create_run(experiment)
        client.create_model_version(name, source=f"{run.info.artifact_uri}/bundle", run_id=run.info.run_id)
        verdict = VERDICT if ruling == "refused" else Verdict(VERDICT.checks[:1])
        client.log_dict(run.info.run_id, verdict.to_dict(), "verdict.json")
        told: dict[str, Any] = {"to_version": number, "bundle": f"{number:x}" * 64, "run_id": run.info.run_id}
        ledger.append(Entry(name, "verdict", "the flow", " ".join(verdict.reasons), ruling=ruling, **told))
        if number == 1:
            ledger.append(Entry(name, "changed", "the flow", "It passed its gate.", **told))
    client.set_registered_model_alias(name, "champion", "1")
    client.set_registered_model_alias(name, "challenger", "3")
    client.set_registered_model_tag(name, "headgate.canary", "0.05")
    ledger.append(Entry(name, "challenger", "the flow", "The gate asks for a reviewer.", from_version=1, **told))
    ends = {"ends": "2099-03-01T00:00:00+00:00"}
    ledger.append(Entry(name, "hold", "ana", "Sale <week>: no changes & no risks.", details=ends))
    return here
