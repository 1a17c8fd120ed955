"""Is every upload that cannot be served refused with the name of what is wrong, quickly, cold and warm?"""

from __future__ import annotations

import json
import pickle
import time
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from tensortrigger_backend.adapters.child_process import PlainChildLauncher
from tensortrigger_backend.adapters.forge_process import ForgeProcess
from tensortrigger_backend.domain.publishing import ForgeOrder, ForgeVerdict
from tensortrigger_backend.forge.inspection import inspect_upload
from tensortrigger_backend.forge.limits import Limits
from tensortrigger_backend.forge.refusal import Refused

pytestmark = pytest.mark.slow


def judged(forge: ForgeProcess, source: Path, order: ForgeOrder | None = None) -> ForgeVerdict:
    target = source.with_name("never.servable")
    verdict = forge.forge(source, target, order or ForgeOrder(), lambda _: None)
    assert not verdict.accepted
    assert not target.exists()
    return verdict


REFUSED = {
    "lambda.keras": ("forbidden_layer", "'doubled' (Lambda)"),
    "lambda.h5": ("forbidden_layer", "'doubled' (Lambda)"),
    "nested_lambda.h5": ("forbidden_layer", "'hidden_deep' (Lambda)"),
    "wrapped_lambda.keras": ("forbidden_layer", "'each_step' (Lambda)"),
    "custom.keras": ("custom_class", "'shop>Discount'"),
    "custom.h5": ("custom_class", "Discount"),
    "custom_function.keras": ("custom_function", "'double'"),
    "only.weights.h5": ("weights_only", "only weights"),
    "saved_model.zip": ("empty_model", "SavedModel"),
}


@pytest.fixture(scope="module", params=["cold", "warm"])
def patient_forge(
    request: pytest.FixtureRequest, launcher: PlainChildLauncher, tmp_path_factory: pytest.TempPathFactory
) -> Any:
    forge = ForgeProcess(launcher, tmp_path_factory.mktemp("refusals"))
    if request.param == "warm":
        forge.warm()
    yield forge
    forge.close()


def test_each_is_refused_by_name_within_seconds(zoo: Path, patient_forge: ForgeProcess) -> None:
    for file, (code, words) in REFUSED.items():
        started = time.monotonic()
        fault = judged(patient_forge, zoo / file).faults[0]
        # Importing TensorFlow alone takes longer than this.
        assert time.monotonic() - started < 4, file
        assert fault.code == code, file
        assert words in fault.message, file
        assert fault.remedy, file


def test_a_refused_layer_is_found_by_its_path_in_the_config(zoo: Path, forge: ForgeProcess) -> None:
    fault = judged(forge, zoo / "nested_lambda.h5").faults[0]
    with h5py.File(zoo / "nested_lambda.h5") as file:
        found: Any = {"model_config": json.loads(file.attrs["model_config"])}
    assert fault.loc[0] == "model_content"
    for step in fault.loc[1:]:
        found = found[step]
    assert found["config"]["name"] == "hidden_deep"


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (ForgeOrder(("a", "b", "c", "d")), "The schema names 4 inputs, the model's input layer takes 5."),
        (ForgeOrder((), ("p",)), "The schema names 1 output, the model's output layer gives 2."),
        (
            ForgeOrder(tuple("abcdef"), ("p", "q", "r")),
            "The schema names 6 inputs, the model's input layer takes 5.",
        ),
    ],
)
def test_a_schema_of_another_width_is_refused_with_both_numbers(
    zoo: Path, forge: ForgeProcess, names: ForgeOrder, message: str
) -> None:
    verdict = judged(forge, zoo / "five_to_two.keras", names)
    assert verdict.faults[0].message == message
    assert verdict.faults[0].loc[0] == "model_schema"
    assert "starting" not in verdict.stages, "the config alone tells, without TensorFlow"
    assert len(verdict.faults) == bool(names.input_names) + bool(names.output_names)


@pytest.mark.parametrize(
    ("name", "code", "words"),
    [
        ("functional_five_to_two", "schema_width", "names 1 output, the model's output layer gives 2"),
        ("two_inputs", "schema_rank", "names 1 input of one vector"),
        ("coupled", "rows_not_independent", "depends on the other rows"),
        ("stateful", "fixed_batch", "takes exactly 8 rows at a time"),
    ],
)
def test_what_only_the_loaded_model_tells_is_refused_too(zoo: Path, name: str, code: str, words: str) -> None:
    verdict = json.loads((zoo / f"{name}.json").read_text())
    assert not verdict["accepted"]
    assert verdict["faults"][0]["code"] == code
    assert words in verdict["faults"][0]["message"]
    assert not (zoo / f"{name}.servable").exists()


def inspected(upload: Path) -> Any:
    with pytest.raises(Refused) as caught:
        inspect_upload(upload, upload.parent, Limits())
    return caught.value.faults[0]


def written(tmp_path: Path, content: bytes) -> Path:
    upload = tmp_path / "upload"
    upload.write_bytes(content)
    return upload


@pytest.mark.parametrize(
    ("content", "look"),
    [
        (b"", "empty"),
        (bytes(range(256)) * 8, "no known kind"),
        (pickle.dumps({"weights": [1, 2, 3]}), "pickle"),
        (b'{"class_name": "Sequential"}', "JSON"),
        (b"a,b\n1,2\n", "text"),
        (b"\x08\x08\x12\x08tf2onnx\x1a\x051.0", "ONNX"),
        (b"\x1f\x8b\x08\x00rest", "gzip"),
    ],
)
def test_a_file_that_is_no_model_is_told_what_it_looks_like(
    tmp_path: Path, content: bytes, look: str
) -> None:
    fault = inspected(written(tmp_path, content))
    assert "This is no model" in fault.message
    assert look in fault.message


def test_a_truncated_hdf5_is_refused_as_one(zoo: Path, tmp_path: Path) -> None:
    whole = (zoo / "dense.h5").read_bytes()
    fault = inspected(written(tmp_path, whole[: len(whole) // 2]))
    assert (fault.code, fault.message) == (
        "truncated_hdf5",
        "The HDF5 file is truncated: it cannot be opened.",
    )


def test_a_truncated_archive_is_refused_as_one(zoo: Path, tmp_path: Path) -> None:
    whole = (zoo / "conv2d.keras").read_bytes()
    assert inspected(written(tmp_path, whole[: len(whole) // 2])).code == "corrupt_zip"


def test_a_flipped_bit_in_the_archive_is_refused(zoo: Path, tmp_path: Path) -> None:
    damaged = bytearray((zoo / "conv2d.keras").read_bytes())
    damaged[damaged.index(b'"module"') + 2] ^= 1
    assert inspected(written(tmp_path, bytes(damaged))).code == "corrupt_zip"


def with_members(zoo: Path, tmp_path: Path, members: dict[str, bytes]) -> Path:
    upload = tmp_path / "upload"
    upload.write_bytes((zoo / "conv2d.keras").read_bytes())
    with zipfile.ZipFile(upload, "a", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name) if "\\" in name else name, content)
    return upload


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("../outside", "unsafe_member"),
        ("/etc/passwd", "unsafe_member"),
        ("assets/../../x", "unsafe_member"),
        ("assets\\x", "unsafe_member"),
        ("run_me.py", "unknown_member"),
        ("bomb", "unknown_member"),
    ],
)
def test_an_archive_with_a_strange_member_is_refused(zoo: Path, tmp_path: Path, name: str, code: str) -> None:
    assert inspected(with_members(zoo, tmp_path, {name: b"x"})).code == code


def test_a_member_that_inflates_a_thousandfold_is_refused(zoo: Path, tmp_path: Path) -> None:
    assert inspected(with_members(zoo, tmp_path, {"assets/zeros": bytes(20_000_000)})).code == "too_large"


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_second_config_behind_the_first_is_refused(zoo: Path, tmp_path: Path) -> None:
    assert inspected(with_members(zoo, tmp_path, {"config.json": b"{}"})).code == "duplicate_member"


def changed_hdf5(zoo: Path, tmp_path: Path, change: Any) -> Path:
    upload = written(tmp_path, (zoo / "dense.h5").read_bytes())
    with h5py.File(upload, "a") as file:
        change(file)
    return upload


def external_link(file: Any) -> None:
    file["model_weights/elsewhere"] = h5py.ExternalLink("/etc/hostname", "/")


def soft_link(file: Any) -> None:
    file["model_weights/alias"] = h5py.SoftLink("/model_weights")


def external_storage(file: Any) -> None:
    file.create_dataset("model_weights/host", (4,), "u1", external=[("/etc/hostname", 0, 4)])


def virtual_dataset(file: Any) -> None:
    layout = h5py.VirtualLayout((4,), "u1")
    layout[:] = h5py.VirtualSource("other.h5", "data", (4,))
    file.create_virtual_dataset("model_weights/virtual", layout)


def shape_bomb(file: Any) -> None:
    file.create_dataset("model_weights/bomb", (1 << 40,), "f4", chunks=(1 << 20,))


def no_config(file: Any) -> None:
    del file.attrs["model_config"]
    del file.attrs["keras_version"]
    del file["model_weights"]


def deep_config(file: Any) -> None:
    file.attrs["model_config"] = b"[" * 100_000


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (external_link, "hdf5_link"),
        (soft_link, "hdf5_link"),
        (external_storage, "hdf5_external"),
        (virtual_dataset, "hdf5_virtual"),
        (shape_bomb, "too_large"),
        (no_config, "no_config"),
        (deep_config, "too_deep"),
    ],
)
def test_an_hdf5_file_that_reaches_out_or_lies_is_refused(
    zoo: Path, tmp_path: Path, change: Any, code: str
) -> None:
    assert inspected(changed_hdf5(zoo, tmp_path, change)).code == code


def test_a_class_of_another_module_is_refused_wherever_it_hides(zoo: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(zoo / "conv2d.keras") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    for place in ("layer", "inbound", "compile", "nested"):
        config = json.loads(members["config.json"])
        gadget = {
            "module": "os",
            "class_name": "system",
            "config": {"command": "id"},
            "registered_name": None,
        }
        layer = config["config"]["layers"][1]
        if place == "layer":
            config["config"]["layers"][1] = gadget
        elif place == "inbound":
            layer["inbound_nodes"] = [{"args": [gadget], "kwargs": {}}]
        elif place == "compile":
            config["compile_config"] = {"loss": gadget}
        else:
            layer["config"]["extra"] = [{"deep": gadget}]
        upload = tmp_path / place
        with zipfile.ZipFile(upload, "w") as archive:
            for name, content in (members | {"config.json": json.dumps(config).encode()}).items():
                archive.writestr(name, content)
        fault = inspected(upload)
        assert fault.code == "custom_class", place
        assert "'system'" in fault.message


def test_a_vocabulary_that_is_a_path_is_refused(zoo: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(zoo / "text.keras") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["config.json"] = members["config.json"].replace(
        b'"vocabulary": null', b'"vocabulary": "/etc/passwd"'
    )
    upload = tmp_path / "upload"
    with zipfile.ZipFile(upload, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    assert inspected(upload).code == "vocabulary_path"


def test_a_loss_of_ones_own_does_not_stand_in_the_way(zoo: Path, tmp_path: Path) -> None:
    assert inspect_upload(zoo / "own_loss.keras", tmp_path, Limits()).format == "keras"


def test_numbers_alone_pass_the_inspection(zoo: Path, tmp_path: Path) -> None:
    def harmless(file: Any) -> None:
        file.create_dataset("model_weights/more", data=np.ones((3, 3)), compression="gzip")

    upload = changed_hdf5(zoo, tmp_path, harmless)
    assert inspect_upload(upload, tmp_path, Limits()).format == "hdf5"
