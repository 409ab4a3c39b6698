"""How soon serving follows what people change in MLflow, under steady load: sixteen changes by alias and by stage.

    python benchmarks/rollback.py [--out FILE]

Real servers on a state folder of their own. How it is measured is in tests/journeys/swaps.py, which is a test too.
"""

import argparse
import os
import platform
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    asked = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    from tests.journeys.swaps import measure, words

    with tempfile.TemporaryDirectory() as folder:
        report = measure(Path(folder) / "state", 16)
    asked.out.write_text(f"""# Sixteen changes of the champion under load

    python benchmarks/rollback.py

{platform.machine()}, {os.cpu_count()} cores; Python {platform.python_version()}, mlflow {version("mlflow")}. MLflow's server on SQLite, the
registrar and one serving process, with a click asked for about every 10 ms over HTTP on the same cores. Each change is
made by MLflow's own client as soon as the one before was seen; times are from its call to the first answer that the
new version gives. Both versions are kept warm.

{words(report)}
""")


if __name__ == "__main__":
    main()
