"""Serving unpickles nothing: a bundle that was tampered with cannot run code."""

import subprocess
import sys
from pathlib import Path

import pytest

from ..tiny import make_bundle

ROOT = Path(__file__).parents[4]

#: Refuses to unpickle and to load code objects, except those of modules that Python imports.
HOOK = """
import sys
sys.path.insert(0, {root!r})

def hook(event, args):
    if event == "pickle.find_class":
        raise RuntimeError(f"something unpickled {{args}}")
    if event == "marshal.loads" and sys._getframe(1).f_code.co_filename != "<frozen importlib._bootstrap_external>":
        raise RuntimeError("something loaded code objects")

sys.addaudithook(hook)
"""

DECIDE = """
import json
from pathlib import Path
import headgate.serving.process
from headgate.domain import get_domain
from headgate.domains.adclicks.model.predictor import Predictor
from headgate.registry.bundles import verify
from headgate.registry.golden import agrees
from tests.serving.asked import asking
from tests.serving.real import real_app, settings

bundle = Path({bundle!r})
verify(bundle)
predictor = Predictor(bundle)
assert agrees(bundle, predictor) == 20
click = {{"event_time": "2026-01-05T09:30:00+01:00", "user_id": "u", "ip": "192.0.2.1"}}
with real_app(settings(bundle.parent / "state"), get_domain("adclicks"), predictor) as app, asking(app) as ask:
    for n in range(3):
        body = json.dumps([click | {{"click_id": f"{{n}}-{{i}}"}} for i in range(5)]).encode()
        status, _, said = ask("POST", "/v1/adclicks/decisions", body)
        assert (status, len(json.loads(said))) == (200, 5), said
    assert ask("GET", "/metrics")[0] == ask("GET", "/docs")[0] == 200
print("decided")
"""

FOLLOW = """
import time
from tests.serving.asked import asking
from headgate.domain import get_domain
from headgate.serving.app import build
from headgate.settings import load

with asking(build([get_domain("adclicks")], load())) as ask:
    deadline = time.monotonic() + 120
    while ask("GET", "/readyz")[0] != 200:
        assert time.monotonic() < deadline, ask("GET", "/readyz")
print("followed")
"""

PROVE = """
import collections, marshal, pickle
for forbidden in (
    lambda: pickle.loads(pickle.dumps(collections.OrderedDict())),
    lambda: pickle._loads(pickle.dumps(collections.OrderedDict())),
    lambda: marshal.loads(marshal.dumps(hook.__code__)),
):
    try:
        forbidden()
    except RuntimeError as error:
        print(error)
"""


def said_by(script: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.splitlines()


def proven(said: list[str], first: str) -> None:
    """That it came to its end, and that the hook was awake to the last."""
    assert said[0] == first
    assert [line.split("(")[0].strip() for line in said[1:]] == [
        "something unpickled",
        "something unpickled",
        "something loaded code objects",
    ]


def test_a_bundle_is_loaded_and_clicks_are_decided_without_unpickling(tmp_path):
    bundle = make_bundle(tmp_path, "tiny")
    script = HOOK.format(root=str(ROOT)) + DECIDE.format(bundle=str(bundle)) + PROVE
    proven(said_by(script), "decided")


@pytest.mark.nightly
def test_a_version_is_fetched_from_the_registry_and_loaded_without_unpickling(registry):
    registry.crown(registry.register())
    proven(said_by(HOOK.format(root=str(ROOT)) + FOLLOW + PROVE), "followed")
