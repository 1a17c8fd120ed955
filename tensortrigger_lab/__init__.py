"""What a notebook imports: publish a Keras model, run it, score a CSV with it, train it and watch that.

    import tensortrigger_lab as tt

    model = tt.publish(keras_model, name="churn", example=X_train)
    tt.run(model, X_test.iloc[0])
    scores = tt.score(model, "customers.csv")
    newer = tt.train(model, X_new, y_new, epochs=20).model

Importing it is quick: a name is loaded when it is first used, and neither TensorFlow nor pandas before then.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tensortrigger_lab.async_client import AsyncClient as AsyncClient
    from tensortrigger_lab.background import Job as Job
    from tensortrigger_lab.callbacks.keras_callback import callback as callback
    from tensortrigger_lab.client import Client as Client
    from tensortrigger_lab.endpoint import Model as Model
    from tensortrigger_lab.errors import ApiError as ApiError
    from tensortrigger_lab.errors import BadInput as BadInput
    from tensortrigger_lab.errors import Conflict as Conflict
    from tensortrigger_lab.errors import Forbidden as Forbidden
    from tensortrigger_lab.errors import InvalidRequest as InvalidRequest
    from tensortrigger_lab.errors import JobFailed as JobFailed
    from tensortrigger_lab.errors import ModelRefused as ModelRefused
    from tensortrigger_lab.errors import NoAnswer as NoAnswer
    from tensortrigger_lab.errors import NotFound as NotFound
    from tensortrigger_lab.errors import NotReachable as NotReachable
    from tensortrigger_lab.errors import NotReady as NotReady
    from tensortrigger_lab.errors import PayloadTooLarge as PayloadTooLarge
    from tensortrigger_lab.errors import RowsRejected as RowsRejected
    from tensortrigger_lab.errors import ServerFault as ServerFault
    from tensortrigger_lab.errors import TensorTriggerError as TensorTriggerError
    from tensortrigger_lab.errors import Unauthenticated as Unauthenticated
    from tensortrigger_lab.errors import Unavailable as Unavailable
    from tensortrigger_lab.errors import UnexpectedAnswer as UnexpectedAnswer
    from tensortrigger_lab.errors import UnsupportedMedia as UnsupportedMedia
    from tensortrigger_lab.errors import VersionSkew as VersionSkew
    from tensortrigger_lab.magics import load_ipython_extension as load_ipython_extension
    from tensortrigger_lab.magics import unload_ipython_extension as unload_ipython_extension
    from tensortrigger_lab.panels.panel import panel as panel
    from tensortrigger_lab.publishing import publish as publish
    from tensortrigger_lab.receipt_handle import Receipt as Receipt
    from tensortrigger_lab.run_handle import Run as Run
    from tensortrigger_lab.session import login as login
    from tensortrigger_lab.signature import infer_schema as infer_schema
    from tensortrigger_lab.training import Training as Training
    from tensortrigger_lab.training import train as train
    from tensortrigger_lab.verbs import delete as delete
    from tensortrigger_lab.verbs import job as job
    from tensortrigger_lab.verbs import jobs as jobs
    from tensortrigger_lab.verbs import metrics as metrics
    from tensortrigger_lab.verbs import model as model
    from tensortrigger_lab.verbs import models as models
    from tensortrigger_lab.verbs import run as run
    from tensortrigger_lab.verbs import run_of as run_of
    from tensortrigger_lab.verbs import runs as runs
    from tensortrigger_lab.verbs import score as score
    from tensortrigger_lab.verbs import score_csv as score_csv
    from tensortrigger_lab.versions import alias as alias
    from tensortrigger_lab.versions import aliases as aliases
    from tensortrigger_lab.versions import history as history
    from tensortrigger_lab.versions import receipt as receipt
    from tensortrigger_lab.versions import remove_alias as remove_alias
    from tensortrigger_lab.versions import rollback as rollback
    from tensortrigger_lab.watching import watch as watch

_HOME_OF = {
    "ApiError": "errors",
    "AsyncClient": "async_client",
    "BadInput": "errors",
    "Client": "client",
    "Conflict": "errors",
    "Forbidden": "errors",
    "InvalidRequest": "errors",
    "Job": "background",
    "JobFailed": "errors",
    "Model": "endpoint",
    "ModelRefused": "errors",
    "NoAnswer": "errors",
    "NotFound": "errors",
    "NotReachable": "errors",
    "NotReady": "errors",
    "PayloadTooLarge": "errors",
    "Receipt": "receipt_handle",
    "RowsRejected": "errors",
    "Run": "run_handle",
    "ServerFault": "errors",
    "TensorTriggerError": "errors",
    "Training": "training",
    "Unauthenticated": "errors",
    "Unavailable": "errors",
    "UnexpectedAnswer": "errors",
    "UnsupportedMedia": "errors",
    "VersionSkew": "errors",
    "alias": "versions",
    "aliases": "versions",
    "callback": "callbacks.keras_callback",
    "delete": "verbs",
    "history": "versions",
    "infer_schema": "signature",
    "job": "verbs",
    "jobs": "verbs",
    "load_ipython_extension": "magics",
    "login": "session",
    "metrics": "verbs",
    "model": "verbs",
    "models": "verbs",
    "panel": "panels.panel",
    "publish": "publishing",
    "receipt": "versions",
    "remove_alias": "versions",
    "rollback": "versions",
    "run": "verbs",
    "run_of": "verbs",
    "runs": "verbs",
    "score": "verbs",
    "score_csv": "verbs",
    "train": "training",
    "unload_ipython_extension": "magics",
    "watch": "watching",
}

__all__ = [
    "ApiError",
    "AsyncClient",
    "BadInput",
    "Client",
    "Conflict",
    "Forbidden",
    "InvalidRequest",
    "Job",
    "JobFailed",
    "Model",
    "ModelRefused",
    "NoAnswer",
    "NotFound",
    "NotReachable",
    "NotReady",
    "PayloadTooLarge",
    "Receipt",
    "RowsRejected",
    "Run",
    "ServerFault",
    "TensorTriggerError",
    "Training",
    "Unauthenticated",
    "Unavailable",
    "UnexpectedAnswer",
    "UnsupportedMedia",
    "VersionSkew",
    "alias",
    "aliases",
    "callback",
    "delete",
    "history",
    "infer_schema",
    "job",
    "jobs",
    "login",
    "metrics",
    "model",
    "models",
    "panel",
    "publish",
    "receipt",
    "remove_alias",
    "rollback",
    "run",
    "run_of",
    "runs",
    "score",
    "score_csv",
    "train",
    "watch",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from tensortrigger_lab.config import version

        return version()
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
