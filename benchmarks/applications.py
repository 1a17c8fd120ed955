"""Are the families of ``keras.applications`` taken at their real size, on which engine, and how near to predict?

Each is built with random weights, saved as ``.keras`` and forged in a process of its own, as an upload is. The seconds
are those of the whole forge process, TensorFlow's start with them.

Run: ``python benchmarks/applications.py [NAME ...]``. Saves ``results/applications.json``.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).with_name("results") / "applications.json"
NAMES = (
    *("MobileNet", "MobileNetV2", "MobileNetV3Small", "MobileNetV3Large", "NASNetMobile", "EfficientNetB0"),
    *(
        "EfficientNetV2B0",
        "DenseNet121",
        "Xception",
        "InceptionV3",
        "InceptionResNetV2",
        "ResNet50",
        "ResNet50V2",
    ),
    *("ResNet101", "ConvNeXtTiny", "EfficientNetB7", "VGG16"),
)
_SAVE = """
import sys, keras
name, path = sys.argv[1:]
getattr(keras.applications, name)(weights=None).save(path)
"""
_FORGE = """
import json, sys
from pathlib import Path
from tensortrigger_backend.domain.publishing import ForgeOrder
from tensortrigger_backend.forge.inspection import inspect_upload
from tensortrigger_backend.forge.limits import Limits
from tensortrigger_backend.forge.keras.publication import publish
from tensortrigger_backend.forge.refusal import Refused
source = Path(sys.argv[1])
try:
    inspected = inspect_upload(source, source.parent, Limits())
    verdict = publish(source, source.with_name("servable"), inspected, ForgeOrder(), lambda stage: None).to_dict()
except Refused as refused:
    verdict = {"accepted": False, "faults": [fault.to_dict() for fault in refused.faults]}
print(json.dumps(verdict))
"""


def measure(name: str) -> dict[str, object]:
    """Build, save and forge one architecture."""
    with tempfile.TemporaryDirectory() as folder:
        upload = Path(folder) / "upload.keras"
        subprocess.run(
            [sys.executable, "-c", _SAVE, name, str(upload)], check=True, stderr=subprocess.DEVNULL
        )
        started = time.monotonic()
        answer = subprocess.run(
            [sys.executable, "-c", _FORGE, str(upload)], check=True, capture_output=True, text=True
        )
        verdict = json.loads(answer.stdout.strip().rsplit("\n", 1)[-1])
        return {
            "name": name,
            "megabytes": round(upload.stat().st_size / 1e6, 1),
            "seconds": round(time.monotonic() - started, 1),
            "accepted": verdict["accepted"],
            "engine": verdict.get("engine", ""),
            "reason": verdict.get("engine_reason")
            or "; ".join(f["message"] for f in verdict.get("faults", ())),
            "max_deviation": verdict.get("max_deviation"),
        }


def main() -> None:
    """Measure those named, or all, and print the table."""
    table = Table("architecture", "MB", "s", "engine", "deviation", "reason")
    named = sys.argv[1:]
    # What is not measured again stays as it was.
    before = json.loads(RESULTS.read_text()) if named and RESULTS.exists() else []
    rows = [row for row in before if row["name"] not in named]
    for name in named or NAMES:
        row = measure(name)
        rows.append(row)
        table.add_row(
            *(str(row[key]) for key in ("name", "megabytes", "seconds", "engine", "max_deviation", "reason"))
        )
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps(rows, indent=1) + "\n")
    Console(width=140).print(table)
    if not all(row["accepted"] for row in rows):
        raise SystemExit("an architecture was refused")


if __name__ == "__main__":
    main()
