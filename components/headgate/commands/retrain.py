"""`headgate retrain DOMAIN` and `headgate run STAGE DOMAIN`: a whole run, or one stage of it."""

from pathlib import Path
from typing import Annotated

import typer

from headgate import settings
from headgate.commands.options import DomainArgument, Json, answer, instant
from headgate.errors import UsageError


def retrain(
    domain: DomainArgument,
    source: Annotated[
        str, typer.Option(help="A folder or an s3://bucket/prefix with the raw files; log is the decision log.")
    ],
    as_of: Annotated[
        str | None, typer.Option(metavar="DATE", help="Use nothing known later, e.g. 2026-01-22 or 2026-01-22T06:00Z.")
    ] = None,
    outcomes: Annotated[
        str | None, typer.Option(help="With --source log: a folder or an s3://bucket/prefix with what came of it.")
    ] = None,
    recalibrate_only: Annotated[
        bool, typer.Option("--recalibrate-only", help="Keep the champion's model and set only its thresholds anew.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Of everything random in training.")] = 0,
    json: Json = False,
) -> None:
    """Retrain, judge, and promote if the gate lets it through."""
    from headgate.operations.retrain import run_retrain

    outcome = run_retrain(
        settings.load(),
        domain,
        source,
        instant(as_of),
        outcomes=outcomes,
        recalibrate_only=recalibrate_only,
        seed=seed,
    )
    answer(outcome, json, outcome.words)
    raise typer.Exit(outcome.exit_code)


def run(
    stage: Annotated[str, typer.Argument(help="snapshot, validate, train, calibrate or evaluate.")],
    domain: DomainArgument,
    params: Annotated[Path, typer.Option(help="Where the request stands.")] = Path("params.yaml"),
) -> None:
    """Run one stage as `dvc.yaml` does, with the request in params.yaml."""
    import yaml

    from headgate import stages
    from headgate.domain import Request
    from headgate.orchestration.outcome import step

    if not params.is_file():
        raise UsageError(f"There is no {params} here: run inside a checkout, or name it with --params.")
    try:
        values = yaml.safe_load(params.read_text(encoding="utf-8"))
        work, asked = Path(values["workspace"]) / domain.name, values[domain.name]
        source, as_of = str(asked["source"]), str(asked["as_of"])
    except (yaml.YAMLError, UnicodeDecodeError, KeyError, TypeError) as error:
        needs = f"`workspace`, and `{domain.name}` with `source` and `as_of`"
        raise UsageError(f"{params} holds no request for {domain.name}: it needs {needs}.") from error
    settings.load()
    with step(stage):
        if stage == "snapshot":
            at = instant(as_of)
            assert at is not None
            stages.snapshot(domain, work, Request(source, at, asked.get("base") or None, asked.get("seed", 0)))
        elif stage in stages.STAGES:
            order = ["snapshot", *stages.STAGES]
            before = order[order.index(stage) - 1]
            if not (work / before).is_dir():
                raise UsageError(f"There is no {before} in {work}: run that stage first.")
            stages.STAGES[stage](domain, work)
        else:
            raise UsageError(f"There is no stage {stage!r}; there are: snapshot, {', '.join(stages.STAGES)}.")
