"""The bridge as a front end meets it: a real kernel, one silent request, an answer that is never an error."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest


def test_a_question_leaves_no_trace_in_the_notebook(notebook: Any) -> None:
    count = notebook.run("1")
    answer = notebook.ask("models")
    assert answer.members["v"] == 1
    assert [message["msg_type"] for message in answer.published] == []
    assert notebook.run("2") == count + 1
    notebook.run("assert not any('tensortrigger' in source for source in In[:-1])")
    notebook.run("assert 'tt' not in globals() and 'tensortrigger_lab' not in globals()")


def test_as_text_every_answer_is_the_same_short_constant(notebook: Any) -> None:
    texts = {
        notebook.ask(method).expression["data"]["text/plain"]
        for method in ("hello", "models", "no_such_method")
    }
    assert texts == {"<TensorTrigger reply>"}


def test_hello_tells_who_is_there(notebook: Any) -> None:
    result = notebook.ask("hello").result
    assert set(result) == {"version", "session", "url", "has_key", "skew", "keras", "training"}
    assert (result["url"], result["has_key"], result["training"]) == (None, False, False)


def test_hello_tells_the_backend_but_never_its_key(new_notebook: Callable[..., Any]) -> None:
    started = new_notebook(TENSORTRIGGER_URL="http://127.0.0.1:9", TENSORTRIGGER_API_KEY="sesame-open")
    answer = started.ask("hello")
    assert (answer.result["url"], answer.result["has_key"]) == ("http://127.0.0.1:9", True)
    assert "sesame" not in str(answer.expression)


def test_a_model_is_listed_once_however_many_names_it_has(notebook: Any) -> None:
    notebook.run("churn = Model()\nchurn_again = churn\nother = Model()")
    listed = notebook.ask("models").result["models"]
    assert len({entry["identity"] for entry in listed}) == len(listed) == 2
    assert {entry["variable"] for entry in listed} == {"other", "churn_again"}
    notebook.run("del churn, churn_again, other")


def test_what_was_assigned_last_stands_first(notebook: Any) -> None:
    notebook.run("first = Model()\nsecond = Model()")
    assert [entry["variable"] for entry in notebook.ask("models").result["models"]] == ["second", "first"]
    notebook.run("first = Model()")
    assert [entry["variable"] for entry in notebook.ask("models").result["models"]] == ["first", "second"]
    notebook.run("del first, second")


def test_private_and_history_names_are_left_out(notebook: Any) -> None:
    notebook.run("_hidden = Model()\nModel()")
    assert notebook.ask("models").result["models"] == []


def test_examples_are_listed_with_their_shapes(notebook: Any) -> None:
    notebook.run(
        "table = pd.DataFrame({'a': [1, 2], 'b': [3., 4.]}); rows = np.zeros((5, 2)); column = table['a']"
    )
    notebook.run("listed = [[1, 2, 3], [4, 5, 6]]; words = ['a', 'b']; scalar = np.float64(3); empty = []")
    found = {entry["variable"]: entry for entry in notebook.ask("models").result["examples"]}
    assert found == {
        "table": {"variable": "table", "kind": "DataFrame", "shape": [2, 2], "columns": ["a", "b"]},
        "rows": {"variable": "rows", "kind": "array", "shape": [5, 2], "columns": None},
        "column": {"variable": "column", "kind": "Series", "shape": [2], "columns": None},
        "listed": {"variable": "listed", "kind": "list", "shape": [2, 3], "columns": None},
    }
    notebook.run("del table, rows, column, listed, words, scalar, empty")


def test_objects_that_do_harm_when_touched_are_not_touched(notebook: Any) -> None:
    notebook.run(
        """
touched = []
class Trap:
    def __getattribute__(self, name): touched.append(name); raise SystemError(name)
    def __repr__(self): touched.append("repr"); raise SystemError
    def __eq__(self, other): touched.append("eq"); raise SystemError
    def __len__(self): touched.append("len"); raise SystemError
    __hash__ = None
class Meta(type):
    def __getattribute__(cls, name): touched.append(name); raise SystemError(name)
    def __instancecheck__(cls, value): touched.append("instance"); return True
class MetaTrap(metaclass=Meta): pass
trap, traps = Trap(), [Trap()]
meta_trap = type.__call__(MetaTrap)
touched.clear()
"""
    )
    result = notebook.ask("models").result
    assert (result["models"], result["complete"]) == ([], True)
    notebook.run("assert touched == [], touched")
    notebook.run("del trap, traps, meta_trap")


def test_a_model_that_raises_when_described_is_listed_all_the_same(notebook: Any) -> None:
    notebook.run(
        """
class Odd(Model):
    name = property(lambda self: 1 / 0)
    inputs = property(lambda self: exec("raise RuntimeError('no')"))
    def count_params(self): raise ValueError
odd = Odd()
"""
    )
    (found,) = notebook.ask("models").result["models"]
    assert (found["variable"], found["title"], found["inputs"], found["parameters"]) == ("odd", "odd", [], 0)
    notebook.run("del odd")


def test_a_list_takes_no_longer_than_its_budget(notebook: Any) -> None:
    notebook.run(
        """
class Slow(Model):
    def count_params(self): time.sleep(0.03); return 1
slow = [Slow() for _ in range(100)]
globals().update({f"slow_{n}": model for n, model in enumerate(slow)})
"""
    )
    answer = notebook.ask_quickly("models")
    assert not answer.result["complete"]
    assert 0 < len(answer.result["models"]) < 15
    assert answer.seconds < 1.0
    notebook.run("for n in range(100): del globals()[f'slow_{n}']\ndel slow")


def test_a_large_namespace_is_listed_within_the_budget(notebook: Any) -> None:
    notebook.run("globals().update({f'number_{n}': n for n in range(50_000)}); wanted = Model()")
    answer = notebook.ask_quickly("models")
    assert [entry["variable"] for entry in answer.result["models"]] == ["wanted"]
    assert answer.seconds < 1.0
    notebook.run("for n in range(50_000): del globals()[f'number_{n}']\ndel wanted")


@pytest.mark.parametrize(
    ("method", "params", "code"),
    [
        ("no_such_method", {}, "unknown_method"),
        ("progress", {}, "bad_input"),
        ("progress", {"publish_id": "0" * 32}, "kernel_restarted"),
        ("cancel", {"publish_id": "0" * 32}, "kernel_restarted"),
        ("schema", {"session": "another", "variable": "x", "identity": "1"}, "kernel_restarted"),
        ("publish", {"variable": 3}, "bad_input"),
    ],
)
def test_every_failure_is_an_answer(notebook: Any, method: str, params: dict[str, Any], code: str) -> None:
    error = notebook.ask(method, **params).error
    assert (error["code"], set(error)) == (code, {"code", "message", "action"})
    assert error["message"]


def test_a_name_with_every_odd_character_arrives(notebook: Any) -> None:
    error = notebook.ask("progress", publish_id="quote ' \" \\ \u2028 \u2029 {} \n").error
    assert error["code"] == "kernel_restarted"


def test_a_restart_voids_what_was_listed(new_notebook: Callable[..., Any], stand_in: str) -> None:
    started = new_notebook()
    started.run(stand_in + "\nmodel = Model()")
    before = started.ask("models").result
    started.restart()
    started.run(stand_in + "\nmodel = Model()")
    assert started.ask("hello").result["session"] != before["session"]
    answer = started.ask(
        "publish",
        session=before["session"],
        variable="model",
        identity=before["models"][0]["identity"],
        name="churn",
        when="now",
    )
    assert answer.error["code"] == "kernel_restarted"
    assert "Run the cells" in answer.error["action"]


def test_a_kernel_without_the_package_says_so_by_name(new_notebook: Callable[..., Any]) -> None:
    started = new_notebook()
    started.run(
        """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "tensortrigger_lab":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Blocked())
"""
    )
    answer = started.ask("hello")
    assert (answer.expression["status"], answer.expression["ename"]) == ("error", "ModuleNotFoundError")
    assert answer.published == []


def test_a_notebook_without_keras_has_no_models_and_gets_no_keras(new_notebook: Callable[..., Any]) -> None:
    started = new_notebook()
    started.run("model = object()")
    assert started.ask("hello").result["keras"] is False
    assert started.ask("models").result["models"] == []
    started.run("import sys; assert not {'keras', 'tensorflow', 'pandas', 'httpx'} & set(sys.modules)")


def test_loading_the_bridge_is_quick() -> None:
    script = (
        "import sys, time; began = time.perf_counter(); import tensortrigger_lab.kernel.bridge as bridge;"
        "bridge.call('models'); seconds = time.perf_counter() - began;"
        "heavy = {'numpy', 'pandas', 'keras', 'tensorflow', 'httpx', 'IPython'} & set(sys.modules);"
        "print(seconds, sorted(heavy))"
    )
    took: list[float] = []
    # A machine that does something else meanwhile gets further chances.
    while not took or (took[-1] >= 1.0 and len(took) < 3):
        argv = [sys.executable, "-c", script]
        told = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
        seconds, _, heavy = told.strip().partition(" ")
        assert heavy == "[]"
        took.append(float(seconds))
    assert min(took) < 1.0
