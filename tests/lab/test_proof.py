"""What a publish sends as proof, and what it tells of where the version comes from."""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

import tensortrigger_lab as tt
from tensortrigger_lab import errors, proof, provenance
from tensortrigger_lab.client import Client
from tensortrigger_lab.example_rows import example_rows


class Tensor:
    def __init__(self, name: str, *shape: int | None, dtype: str = "float32") -> None:
        self.name, self.shape, self.dtype = name, (None, *shape), dtype


class Embedding:
    input_dim = 7


class StringLookup:
    pass


class Network:
    """Stands for a functional Keras model: the sum of each row, output by output."""

    built, input_shape, output_shape = True, (None, 2), (None, 1)

    def __init__(self, *inputs: Tensor, layers: tuple[Any, ...] = (object(),), outputs: int = 1) -> None:
        self.inputs = list(inputs) or [Tensor("rows", 2)]
        self.layers = list(layers)
        self.output_names = [f"out_{place}" for place in range(outputs)]
        self.asked: list[Any] = []

    def count_params(self) -> int:
        return 3

    def save(self, path: Path) -> None:
        path.write_bytes(b"PK\x03\x04")

    def __call__(self, x: Any, training: bool) -> Any:
        assert training is False
        self.asked.append(x)
        parts = x if isinstance(x, list) else [x]
        total = sum(
            np.asarray(part, "float64").reshape(len(part), -1).sum(axis=1, keepdims=True) for part in parts
        )
        return total if len(self.output_names) == 1 else [total] * len(self.output_names)

    def predict(self, x: Any, verbose: int) -> Any:
        return self(x, training=False)


@pytest.fixture(autouse=True)
def keras(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in = SimpleNamespace(Model=Network, __version__="3.99")
    monkeypatch.setitem(__import__("sys").modules, "keras", stand_in)


@pytest.fixture
def endpoint(api: Any, shapes: Any) -> Any:
    api.on("POST", "/models/new", {"model": shapes.model()})
    api.on("POST", "/tensor/run/batch", {"output": [[0.0]] * 32})
    return api


TABLE = pd.DataFrame({"age": range(100), "income": np.linspace(0, 1, 100)})


def test_the_notebooks_own_answers_go_along(endpoint: Any, client: Client) -> None:
    tt.publish(Network(), "churn", TABLE, client=client)
    sent = endpoint.body("/models/new")["example"]
    assert sent["inputs"][2] == {"age": 2, "income": pytest.approx(2 / 99)}
    assert sent["outputs"][2] == [pytest.approx(2 + 2 / 99)]
    assert len(sent["inputs"]) == len(sent["outputs"]) == 32
    assert sent["versions"]["keras"] == "3.99"


def test_without_an_example_a_few_rows_are_made_the_same_every_time(endpoint: Any, client: Client) -> None:
    for _ in range(2):
        tt.publish(Network(), "churn", client=client)
    first, second = (endpoint.body("/models/new", number)["example"] for number in (0, 1))
    assert first == second
    assert len(first["inputs"]) == 4
    assert first["outputs"][0] == [pytest.approx(sum(first["inputs"][0].values()))]


def test_a_sample_for_an_embedding_stays_within_it(endpoint: Any) -> None:
    network = Network(Tensor("words", 50, dtype="int32"), layers=(Embedding(),))
    found = proof.sample(network)
    assert found is not None
    assert set(np.unique(network.asked[0])) == set(range(7))


@pytest.mark.parametrize(
    "network",
    [
        Network(Tensor("words", None)),
        Network(Tensor("text", 1, dtype="string")),
        Network(Tensor("number", 1, dtype="int32")),
        Network(layers=(StringLookup(),)),
        Network(layers=(SimpleNamespace(layer=StringLookup()),)),
        Network(layers=(SimpleNamespace(stateful=True),)),
        Network(Tensor("huge", 1000, 2000)),
        Network(layers=()),
    ],
)
def test_no_rows_are_made_where_that_is_not_safe(network: Network) -> None:
    assert proof.sample(network) is None
    assert network.asked == []


def test_a_model_that_fails_on_rows_made_here_is_published_all_the_same(
    endpoint: Any, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Network, "__call__", lambda *_, **__: 1 / 0)
    tt.publish(Network(), "churn", client=client)
    assert "example" not in endpoint.body("/models/new")


def test_rows_that_nobody_asked_for_are_left_out_where_the_backend_refuses_them(
    endpoint: Any, client: Client, shapes: Any
) -> None:
    fault = {"loc": ["example", "inputs", 0], "code": "below_min", "message": "Too small."}
    refusal = shapes.problem(400, "The example does not fit.", [fault])
    endpoint.on("POST", "/models/new", refusal, {"model": shapes.model()})
    tt.publish(Network(), "churn", client=client)
    with_rows, without = endpoint.asked("/models/new")
    assert "example" in endpoint.body("/models/new", 0)
    assert "example" not in endpoint.body("/models/new", 1)
    assert with_rows.headers["Idempotency-Key"] != without.headers["Idempotency-Key"]
    endpoint.on("POST", "/models/new", refusal)
    with pytest.raises(errors.ModelRefused):
        tt.publish(Network(), "churn", TABLE, client=client)


def test_several_inputs_and_outputs_go_by_name() -> None:
    network = Network(Tensor("a", 2), Tensor("b", 3), outputs=2)
    rows = example_rows([np.ones((5, 2)), np.ones((5, 3))])
    assert rows is not None
    found = proof.proof_of(None, proof.answered(network, rows, network.predict(rows.for_keras, 0)))
    assert found.members is not None
    assert found.members["inputs"]["b"][4] == [1.0, 1.0, 1.0]
    assert found.members["outputs"] == {"out_0": [[5.0]] * 5, "out_1": [[5.0]] * 5}


def test_only_as_many_rows_go_as_are_small_and_finite(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = example_rows(np.ones((20, 99)))
    assert rows is not None
    outputs = np.ones((20, 1))
    outputs[0] = np.nan
    monkeypatch.setattr(proof, "MOST_BYTES", 3 * 100 * proof.BYTES_A_NUMBER)
    found = proof.proof_of(None, proof.answered(Network(), rows, outputs))
    assert found.members is not None
    assert len(found.members["outputs"]) == 2
    monkeypatch.setattr(proof, "MOST_BYTES", 10)
    assert proof.proof_of(None, proof.answered(Network(), rows, outputs)).remark.startswith(
        "a row of the example"
    )


def test_what_is_known_of_its_origin_goes_along(
    endpoint: Any, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = Network()
    network.history = SimpleNamespace(history={"loss": [0.9, 0.5], "lr": [np.nan], "odd": []})  # type: ignore[attr-defined]
    monkeypatch.setenv("JUPYTERHUB_USER", "ada")
    monkeypatch.setenv("JPY_SESSION_NAME", "/home/ada/secret plans/churn.ipynb")
    monkeypatch.setattr(provenance, "commit_here", lambda: "f" * 40)
    tt.publish(network, "churn", alias="candidate", tags={"team": "risk", "n": 3}, client=client)
    sent = endpoint.body("/models/new")
    assert (sent["alias"], sent["tags"], sent["metrics"]) == (
        "candidate",
        {"team": "risk", "n": "3"},
        {"loss": 0.5},
    )
    assert (sent["author"], sent["notebook"], sent["git_commit"]) == ("ada", "churn.ipynb", "f" * 40)
    tt.publish(network, "churn", metrics={}, author="", notebook="", git_commit="", client=client)
    assert not {"metrics", "author", "notebook", "git_commit"} & set(endpoint.body("/models/new"))


def test_nobody_is_named_who_was_not_asked(
    endpoint: Any, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("JUPYTERHUB_USER", "JPY_SESSION_NAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("USER", "ada")
    tt.publish(Network(), "churn", client=client)
    assert not {"author", "notebook"} & set(endpoint.body("/models/new"))


def test_the_commit_is_the_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert provenance.commit_here(tmp_path) is None
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run([*git, "init", "-q"], cwd=tmp_path, check=True)
    assert provenance.commit_here(tmp_path) is None
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "x"], cwd=tmp_path, check=True)
    found = provenance.commit_here(tmp_path)
    assert found is not None
    assert len(found) == 40
    monkeypatch.setenv("PATH", "")
    assert provenance.commit_here(tmp_path) is None


@pytest.mark.parametrize(
    "given",
    [
        {"alias": "7"},
        {"tags": {"": "x"}},
        {"tags": {"k": "v" * 257}},
        {"tags": {str(n): "" for n in range(51)}},
        {"metrics": {"loss": float("nan")}},
        {"metrics": {"loss": "low"}},
    ],
)
def test_what_cannot_be_told_is_refused_before_anything_is_sent(
    api: Any, client: Client, given: dict[str, Any]
) -> None:
    with pytest.raises(errors.BadInput):
        tt.publish(Network(), "churn", client=client, **given)
    assert api.requests == []


def test_the_handle_shows_what_was_proven_and_repaired(api: Any, client: Client, shapes: Any) -> None:
    receipt = {"sha256": "a" * 64, "source": "client", "max_deviation": 1.2e-7}
    repairs = [{"path": "config.layers[0]", "message": "'lr' became 'learning_rate'"}]
    members = shapes.model(receipt=receipt, repairs=repairs, tags={"team": "risk"}, metrics={"loss": 0.5})
    api.on("GET", f"/models/{shapes.model_id}", {"model": members})
    shown = repr(tt.model(shapes.model_id, client=client))
    for part in (
        "reproduces the notebook's outputs, largest difference 1.2e-07",
        "'lr' became",
        "team=risk",
        "loss",
    ):
        assert part in shown, part
