"""What a notebook imports: publish a Keras model, run it, score a CSV with it.

    import tensortrigger_lab as tt

    model = tt.publish(keras_model, name="churn", example=X_train)
    tt.run(model, X_test.iloc[0])
    scores = tt.score_csv(model, "customers.csv")

Importing it is quick: a name is loaded when it is first used, and neither TensorFlow nor pandas before then.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tensortrigger_lab.background import Job as Job
    from tensortrigger_lab.client import Client as Client
    from tensortrigger_lab.endpoint import Model as Model
    from tensortrigger_lab.errors import TensorTriggerError as TensorTriggerError
    from tensortrigger_lab.magics import load_ipython_extension as load_ipython_extension
    from tensortrigger_lab.magics import unload_ipython_extension as unload_ipython_extension
    from tensortrigger_lab.publishing import publish as publish
    from tensortrigger_lab.session import login as login
    from tensortrigger_lab.verbs import job as job
    from tensortrigger_lab.verbs import jobs as jobs
    from tensortrigger_lab.verbs import model as model
    from tensortrigger_lab.verbs import models as models
    from tensortrigger_lab.verbs import run as run
    from tensortrigger_lab.verbs import score_csv as score_csv

_HOME_OF = {
    "Client": "client",
    "Job": "background",
    "Model": "endpoint",
    "TensorTriggerError": "errors",
    "job": "verbs",
    "jobs": "verbs",
    "load_ipython_extension": "magics",
    "login": "session",
    "model": "verbs",
    "models": "verbs",
    "publish": "publishing",
    "run": "verbs",
    "score_csv": "verbs",
    "unload_ipython_extension": "magics",
}

__all__ = [
    "Client",
    "Job",
    "Model",
    "TensorTriggerError",
    "job",
    "jobs",
    "login",
    "model",
    "models",
    "publish",
    "run",
    "score_csv",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from tensortrigger_lab.config import version

        return version()
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME_OF, "__version__"})
