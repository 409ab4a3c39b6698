"""What lies in infra/ agrees with the code: settings, routes, metrics; and with itself: labels, files, secrets."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from headgate import settings
from headgate.domain import NAMES, get_domain
from headgate.serving.app import build

ROOT = Path(__file__).resolve().parents[1]
INFRA = ROOT / "infra"
KUBERNETES = INFRA / "kubernetes"
PRODUCTION = KUBERNETES / "overlays" / "production"
TEXTS = [path for path in sorted(INFRA.rglob("*")) if path.is_file() and path.name != "README.md"]
YAMLS = [path for path in TEXTS if path.suffix == ".yaml"]

#: What a prometheus_client metric of each kind is called when it is read.
SUFFIXES = {"Counter": ["_total"], "Gauge": [""], "Histogram": ["_bucket", "_count", "_sum"]}

Document = dict[str, Any]


def documents(path: Path) -> list[Document]:
    return [one for one in yaml.safe_load_all(path.read_text()) if one]


def compose() -> Document:
    return documents(INFRA / "compose.yaml")[0]


def kubernetes() -> list[Document]:
    """Every object that the kustomizations name, as it is written."""
    found = []
    for folder in (KUBERNETES / "base", PRODUCTION):
        for name in documents(folder / "kustomization.yaml")[0]["resources"]:
            path = folder / name
            assert path.exists(), path
            if path.is_file():
                found += documents(path)
    return found


def of(kind: str) -> list[Document]:
    found = [one for one in kubernetes() if one["kind"] == kind]
    assert found, kind
    return found


def pods() -> list[Document]:
    return [deployment["spec"]["template"] for deployment in of("Deployment")]


def containers() -> list[Document]:
    return [container for pod in pods() for container in pod["spec"]["containers"]]


def walk(value: Any) -> Iterator[tuple[str, Any]]:
    """Every key with its value, however deep."""
    if isinstance(value, dict):
        for key, below in value.items():
            yield key, below
            yield from walk(below)
    elif isinstance(value, list):
        for below in value:
            yield from walk(below)


def metrics() -> set[str]:
    """The names under which Prometheus reads what the code counts."""
    code = "\n".join(path.read_text() for path in (ROOT / "components").rglob("*.py"))
    made = re.findall(r'\b(Counter|Gauge|Histogram)\(\s*"(headgate_\w+)"', code)
    assert len(made) > 8
    return {name + suffix for kind, name in made for suffix in SUFFIXES[kind]}


def asked() -> dict[str, set[str]]:
    """The metrics that each question of the dashboard and of the alerts names."""
    expressions = [
        value
        for key, value in walk(json.loads((INFRA / "grafana/headgate.json").read_text()))
        if key in ("expr", "query", "definition") and isinstance(value, str)
    ]
    expressions += [value for key, value in walk(documents(INFRA / "alerts.yaml")) if key == "expr"]
    return {one: set(re.findall(r"\bheadgate_\w+", one)) for one in expressions}


@pytest.mark.parametrize("path", YAMLS, ids=lambda path: path.relative_to(INFRA).as_posix())
def test_every_yaml_parses_and_has_no_key_twice(path: Path) -> None:
    class Strict(yaml.SafeLoader):
        pass

    def once(loader: Any, node: Any) -> Document:
        keys = [loader.construct_object(key) for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
        assert len(keys) == len(set(keys)), f"{path}: {sorted(keys)}"
        loader.flatten_mapping(node)
        return {loader.construct_object(key): loader.construct_object(value, deep=True) for key, value in node.value}

    Strict.add_constructor("tag:yaml.org,2002:map", once)
    assert list(yaml.load_all(path.read_text(), Strict))


def test_every_setting_that_is_named_exists() -> None:
    source = (ROOT / "components/headgate/settings.py").read_text()
    known = set(re.findall(r"# (HEADGATE_\w+|MLFLOW_\w+|PREFECT_\w+)", source)) | set(settings.QUIET)
    named = set(re.findall(r"\bHEADGATE_[A-Z_]+\b", "".join(path.read_text() for path in TEXTS)))
    sources = {f"HEADGATE_SOURCE_{name.upper()}" for name in NAMES}
    assert named - known - sources == set()


def test_what_compose_asks_of_the_environment_stands_in_the_example() -> None:
    text = (INFRA / "compose.yaml").read_text()
    example = dict(line.split("=", 1) for line in (INFRA / ".env.example").read_text().splitlines() if line[:1] != "#")
    required = set(re.findall(r"\$\{(\w+):\?", text)) | {one["environment"] for one in compose()["secrets"].values()}
    assert set(example) == required
    assert not any(example.values())  # a secret is nobody's example


def test_every_probe_asks_for_a_path_that_is_there() -> None:
    app = build([get_domain("adclicks")], settings.load())
    routes = {getattr(route, "path", "") for route in app.routes}
    probes = [value["path"] for pod in pods() for key, value in walk(pod) if key == "httpGet"]
    assert set(probes) == {"/healthz", "/readyz"}
    health = " ".join(compose()["services"]["serve"]["healthcheck"]["test"])
    assert {*probes, *re.findall(r":8000(/\w+)", health)} <= routes
    paths = {path for question in asked() for path in re.findall(r'path="([^"]+)"', question)}
    assert paths == {"/v1/adclicks/decisions"} & routes


def test_every_metric_of_dashboard_and_alerts_is_counted_somewhere() -> None:
    named = set().union(*asked().values())
    assert named <= metrics()
    assert all(names or "up" in one or "prometheus" in one for one, names in asked().items())


def test_what_people_must_see_is_on_the_dashboard_and_what_they_must_know_alerts() -> None:
    shown = set().union(*asked().values())
    counted = ("decisions", "default_answers", "incomplete", "log_lost_rows", "logged_rows", "swaps")
    states = ("champion_version", "problem", "log_failing", "counters_away", "counters_owed", "lookups_away")
    wanted = {f"headgate_{name}_total" for name in counted} | {f"headgate_{name}" for name in states}
    assert wanted | {"headgate_request_seconds_bucket"} <= shown
    alerts = {rule["alert"] for group in documents(INFRA / "alerts.yaml")[0]["groups"] for rule in group["rules"]}
    names = {"LogFailing", "Problem", "CountersAway", "Slow", "DefaultAnswers", "NoChampion", "CompanionProblem"}
    assert {f"Headgate{name}" for name in names} <= alerts


def test_panels_do_not_lie_on_each_other() -> None:
    panels = json.loads((INFRA / "grafana/headgate.json").read_text())["panels"]
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells
    assert len({panel["id"] for panel in panels}) == len(panels)


def test_every_image_is_pinned() -> None:
    ours = {image["name"]: image["newTag"] for image in documents(KUBERNETES / "base/kustomization.yaml")[0]["images"]}
    images = re.findall(r"^FROM (\S+)", (INFRA / "Dockerfile").read_text(), re.MULTILINE)
    images += [service["image"] for service in compose()["services"].values()]
    images += [f"{one['image']}:{ours[one['image']]}" for one in containers()]
    assert len(images) > 8
    for image in images:
        assert re.search(r":v?\d+\.\d+(\.\d+)?(-[\w.-]+)?$|@sha256:[0-9a-f]{64}$", image), image


def test_every_selector_finds_its_pods() -> None:
    labels = [pod["metadata"]["labels"] for pod in pods()]

    def found(selector: dict[str, str]) -> int:
        return sum(selector.items() <= one.items() for one in labels)

    for deployment in of("Deployment"):
        selector = deployment["spec"]["selector"]["matchLabels"]
        assert selector.items() <= deployment["spec"]["template"]["metadata"]["labels"].items()
        assert found(selector) == 1  # and nobody else's
        for spread in deployment["spec"]["template"]["spec"].get("topologySpreadConstraints", []):
            assert found(spread["labelSelector"]["matchLabels"]) == 1
    assert all(found(service["spec"]["selector"]) == 1 for service in of("Service"))
    assert all(found(budget["spec"]["selector"]["matchLabels"]) == 1 for budget in of("PodDisruptionBudget"))
    assert sorted(found(policy["spec"]["podSelector"]["matchLabels"]) for policy in of("NetworkPolicy")) == [1, 3]
    names = {deployment["metadata"]["name"] for deployment in of("Deployment")}
    assert all(scaler["spec"]["scaleTargetRef"]["name"] in names for scaler in of("HorizontalPodAutoscaler"))


def test_what_pods_refer_to_is_there() -> None:
    volumes = {claim["metadata"]["name"] for claim in of("PersistentVolumeClaim")}
    accounts = {account["metadata"]["name"] for account in of("ServiceAccount")}
    base = (KUBERNETES / "base/kustomization.yaml").read_text()
    maps = {generator["name"] for generator in yaml.safe_load(base)["configMapGenerator"]}
    secrets = set(re.findall(r"create secret generic ([\w-]+)", base))  # as its head says
    assert {value["name"] for key, value in walk(pods()) if key == "configMapRef"} == maps
    assert {value["name"] for key, value in walk(pods()) if key == "secretRef"} <= secrets
    assert {value for key, value in walk(pods()) if key == "secretName"} <= secrets
    for pod in pods():
        spec = pod["spec"]
        assert spec["serviceAccountName"] in accounts
        claims = [
            volume["persistentVolumeClaim"]["claimName"]
            for volume in spec["volumes"]
            if "persistentVolumeClaim" in volume
        ]
        assert set(claims) <= volumes
        for container in spec["containers"]:
            assert {mount["name"] for mount in container["volumeMounts"]} == {
                volume["name"] for volume in spec["volumes"]
            }
            ports = {port["name"] for port in container.get("ports", [])}
            assert {value["port"] for key, value in walk(container) if key == "httpGet"} <= ports
            assert container["args"][0] in commands()
    (service,) = of("Service")
    assert service["spec"]["ports"][0]["targetPort"] == "http"


def commands() -> set[str]:
    """What `headgate` can be told to do."""
    import typer

    from headgate.cli import app

    group = typer.main.get_command(app)
    return set(group.commands)  # type: ignore[attr-defined]


def test_containers_of_compose_run_commands_that_exist() -> None:
    for name in ("serve", "registrar", "watch"):
        assert compose()["services"][name]["command"][0] in commands()


def test_pods_are_locked_down() -> None:
    for pod in pods():
        assert pod["spec"]["securityContext"]["runAsNonRoot"] is True
        assert pod["spec"]["securityContext"]["runAsUser"] == 10001
        assert pod["spec"]["automountServiceAccountToken"] is False
    for container in containers():
        locked = container["securityContext"]
        assert locked["allowPrivilegeEscalation"] is False
        assert locked["readOnlyRootFilesystem"] is True
        assert locked["capabilities"] == {"drop": ["ALL"]}
        assert {"cpu", "memory"} <= container["resources"]["requests"].keys()
        assert "memory" in container["resources"]["limits"]
    assert re.search(r"^USER 10001", (INFRA / "Dockerfile").read_text(), re.MULTILINE)


def test_a_request_in_flight_is_answered_before_the_pod_ends() -> None:
    from headgate.serving.process import GRACE

    (serve,) = [pod["spec"] for pod in pods() if pod["spec"]["containers"][0]["name"] == "serve"]
    pause = int(serve["containers"][0]["lifecycle"]["preStop"]["exec"]["command"][1])
    assert serve["terminationGracePeriodSeconds"] > pause + GRACE
    assert compose()["services"]["serve"]["stop_grace_period"] > f"{GRACE}s"


def test_redis_forgets_nothing_in_silence_and_keeps_nothing_on_disk() -> None:
    command = " ".join(compose()["services"]["redis"]["command"])
    assert '--save "" --appendonly no' in command
    assert "--maxmemory-policy noeviction" in command
    assert re.search(r"--maxmemory \d+", command)


def test_every_service_of_compose_that_answers_says_whether_it_is_well() -> None:
    services = compose()["services"]
    assert set(services) == {
        *("serve", "registrar", "watch", "redis", "postgres", "mlflow", "prefect", "prometheus", "grafana"),
    }
    assert {name for name, service in services.items() if "healthcheck" not in service} == {"registrar", "watch"}
    assert services["serve"]["deploy"]["replicas"] == 2
    for service in services.values():
        assert all(str(port).startswith("127.0.0.1:") for port in service.get("ports", []))


def test_files_that_containers_are_given_are_there() -> None:
    for service in compose()["services"].values():
        for volume in service.get("volumes", []):
            source = volume.partition(":")[0]
            assert (INFRA / source).is_file() if source.startswith(".") else source in compose()["volumes"]
    for line in (INFRA / "Dockerfile").read_text().splitlines():
        if line.startswith("COPY ") and "--from" not in line:
            for source in line.split()[1:-1]:
                assert (ROOT / source).exists(), source
    allowed = re.findall(r"^!(.*)", (INFRA / "Dockerfile.dockerignore").read_text(), re.MULTILINE)
    assert all((ROOT / name).exists() for name in allowed)


#: Keys of what nobody may read, and the ways to name it without writing it out.
SECRET = re.compile(r"(?i)(password|passwd|_secret|secret_|token|salt|api_?key|auth)$|secret_key$|^(password|token)")
REFERENCE = re.compile(r"\$\{\w+(:[?-][^}]*)?\}|/run/secrets/\w+|")
IN_URL = re.compile(r"\w+://[^/\s:@]*:([^@/\s]+)@")


def written_out(document: Any, text: str) -> list[str]:
    """The secrets that a document holds instead of naming them."""
    told = [str(value) for key, value in walk(document) if SECRET.search(key) and type(value) in (str, int)]
    return [one for one in told if not REFERENCE.fullmatch(one)] + [
        one for one in IN_URL.findall(text) if not one.startswith("${")
    ]


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.relative_to(INFRA).as_posix())
def test_no_secret_is_written_out(path: Path) -> None:
    text = path.read_text()
    assert written_out(documents(path) if path in YAMLS else [], text) == []
    assert "hg_" not in text  # how Headgate's tokens begin


def test_a_secret_that_is_written_out_is_found() -> None:
    for text in (
        "POSTGRES_PASSWORD: hunter2",
        "a: {HEADGATE_SALT: 12}",
        "b: [{api_key: abc}]",
        "u: redis://:abc@redis/0",
    ):
        assert written_out(yaml.safe_load(text), text)
    assert not written_out({"POSTGRES_PASSWORD": "${POSTGRES_PASSWORD:?see}"}, "")


@pytest.mark.parametrize("folder", [KUBERNETES / "base", PRODUCTION], ids=["base", "production"])
def test_kustomize_builds(folder: Path) -> None:
    if not shutil.which("kubectl"):
        pytest.skip("kubectl is not installed")
    built = subprocess.run(["kubectl", "kustomize", folder], capture_output=True, text=True, timeout=60)
    assert built.returncode == 0, built.stderr
    objects = list(yaml.safe_load_all(built.stdout))
    assert {"Deployment", "Service", "HorizontalPodAutoscaler", "NetworkPolicy", "ConfigMap"} <= {
        one["kind"] for one in objects
    }
    maps = {one["metadata"]["name"] for one in objects if one["kind"] == "ConfigMap"}
    used = {value["name"] for one in objects for key, value in walk(one) if key == "configMapRef"}
    assert used == maps
