"""Starts one guest with what this machine gives, and tells what the launcher reports and what the guest did."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tensortrigger_backend.adapters.sandbox import SandboxedLauncher
from tensortrigger_backend.domain.errors import TensorTriggerError
from tensortrigger_backend.domain.sandbox import Layer, SandboxMode, SandboxReport, SandboxState

if __name__ == "__main__":
    mode, believed, folder = SandboxMode(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
    (folder / "package").mkdir()
    (folder / "package" / "victim.py").write_text("")
    launcher = SandboxedLauncher(mode, packages=(Path(__file__).parent, folder / "package"))
    if believed == "believed":
        launcher._found = SandboxReport(SandboxState.ON, frozenset(Layer), "as it was when it was probed")
    told = {**launcher.report().to_dict(), "refused": "", "did": [], "last_words": ""}
    (folder / "pepper").write_bytes(b"pepper")
    (folder / "scratch").mkdir()
    try:
        child = launcher.launch("attacks", folder / "scratch")
        order = {
            "attacks": [
                "reads_a_file_of_the_data_folder",
                "empties_a_file_of_its_own_interpreter",
                "asks_whether_its_parent_can_be_killed",
                "sends_over_udp",
            ],
            "facts": {"udp": 9, "data": str(folder), "package": str(folder / "package")},
        }
        try:
            child.stdin.write(json.dumps(order).encode() + b"\n")
            child.stdin.flush()
        except BrokenPipeError:
            pass
        answers = [json.loads(line) for line in child.stdout]
        told["did"] = [answer["name"] for answer in answers if answer["did"]]
        told["answers"] = len(answers)
        child.kill()
        told["last_words"] = child.last_words()
    except TensorTriggerError as error:
        told["refused"] = error.detail
    launcher.close()
    print(json.dumps(told))
