"""What can go wrong on the client's side, each with the server's own words where it said any.

TensorTriggerError
├── BadInput (ValueError)           what was given cannot be sent; nothing was sent
├── NotReachable (ConnectionError)  nothing answers at the backend's URL, or it hung up
├── NoAnswer (TimeoutError)         the backend took longer than the timeout
├── UnexpectedAnswer                what answered does not speak this API
├── NotReady (TimeoutError)         a version takes longer to become ready than was to be waited
├── JobFailed                       the job ended as failed or cancelled
└── ApiError                        the backend said no
    ├── InvalidRequest              400, 405, 422: the request does not fit
    │   └── ModelRefused            the model cannot be accepted; the faults name the layer
    ├── Unauthenticated             401: no key, or one that is unknown, expired or used up
    ├── Forbidden                   403: the key lacks the scope
    ├── NotFound                    404: no such model, version or job
    ├── Conflict                    409: another change came first
    ├── PayloadTooLarge             413: over a limit of the backend
    ├── UnsupportedMedia            415: a content type that the backend does not read
    ├── Unavailable                 429, 502, 503, 504: try again later
    └── ServerFault                 any other 5xx

RowsRejected (UserWarning)          rows of a CSV got no score; no error: the other rows did
VersionSkew (UserWarning)           client and backend are of versions that need not fit each other
"""

from __future__ import annotations

from collections.abc import Sequence

from tensortrigger_lab.wire import Fault, Problem

FAULTS_SHOWN = 5


class TensorTriggerError(Exception):
    """Any error that this package raises on purpose.

    Attributes:
        detail: one sentence that says what happened and what to do.
        status: the HTTP status, None where no answer came or none was asked for.
        problem: the server's RFC 9457 problem details, None where it sent none.
        faults: the single things that are wrong, where they are known.
    """

    def __init__(
        self,
        detail: str,
        *,
        faults: Sequence[Fault] = (),
        status: int | None = None,
        problem: Problem | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.status = status
        self.problem = problem
        self.faults = tuple(faults) or (problem.faults if problem else ())

    def __str__(self) -> str:
        """The sentence, then what the first faults add to it, a line each."""
        added = [fault.hint() if fault.message in self.detail else fault.told() for fault in self.faults]
        told = [line for line in added if line and line not in self.detail]
        more = len(told) - FAULTS_SHOWN
        lines = [self.detail, *(f"  - {line}" for line in told[:FAULTS_SHOWN])]
        return "\n".join(lines + ([f"  - and {more} more"] if more > 0 else []))


class BadInput(TensorTriggerError, ValueError):
    """What was given cannot be sent; nothing was sent.

    Args:
        detail: one sentence.
        field, row: which value is meant; ``row`` counts from 0.
        expected, got: what would fit, and what came.
    """

    def __init__(
        self,
        detail: str,
        *,
        field: str | None = None,
        row: int | None = None,
        expected: str | None = None,
        got: str | None = None,
    ) -> None:
        if expected is not None or got is not None:
            halves = [f"expected {expected}"] * (expected is not None) + [f"got {got}"] * (got is not None)
            detail = f"{detail.rstrip('.')} ({', '.join(halves)})."
        fault = Fault((field,) if field else (), "bad_input", detail, expected, got, row)
        super().__init__(detail, faults=(fault,))
        self.field = field
        self.row = row


class NotReachable(TensorTriggerError, ConnectionError):
    """Nothing answers at the backend's URL, or it hung up."""


class NoAnswer(TensorTriggerError, TimeoutError):
    """The backend took longer than the timeout."""


class UnexpectedAnswer(TensorTriggerError):
    """What answered does not speak this API."""


class NotReady(TensorTriggerError, TimeoutError):
    """A version takes longer to become ready than was to be waited; it may still become so."""

    def __init__(self, detail: str, model_id: str, state: str) -> None:
        super().__init__(detail)
        self.model_id = model_id
        self.state = state


class JobFailed(TensorTriggerError):
    """The job ended as failed or cancelled."""

    def __init__(self, detail: str, job_id: str) -> None:
        super().__init__(detail)
        self.job_id = job_id


class RowsRejected(UserWarning):
    """Rows of a CSV job could not be scored; the others were."""


class VersionSkew(UserWarning):
    """Client and backend are of versions that need not fit each other."""


class ApiError(TensorTriggerError):
    """The backend said no; ``retry_after`` is in seconds, None where it named no time."""

    def __init__(
        self,
        detail: str,
        *,
        faults: Sequence[Fault] = (),
        status: int | None = None,
        problem: Problem | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(detail, faults=faults, status=status, problem=problem)
        self.retry_after = retry_after


class InvalidRequest(ApiError):
    """The request does not fit what was asked."""


class ModelRefused(InvalidRequest):
    """The model cannot be accepted; the faults name the layer and the remedy."""


class Unauthenticated(ApiError):
    """No key, or one that is unknown, expired or used up."""


class Forbidden(ApiError):
    """The key lacks the scope."""


class NotFound(ApiError):
    """No such model, version or job."""


class Conflict(ApiError):
    """Another change came first."""


class PayloadTooLarge(ApiError):
    """Over a limit of the backend."""


class UnsupportedMedia(ApiError):
    """A content type that the backend does not read."""


class Unavailable(ApiError):
    """The backend cannot answer now; try again later."""


class ServerFault(ApiError):
    """The backend failed."""


ERROR_OF_STATUS: dict[int, type[ApiError]] = {
    400: InvalidRequest,
    401: Unauthenticated,
    403: Forbidden,
    404: NotFound,
    405: InvalidRequest,
    409: Conflict,
    413: PayloadTooLarge,
    415: UnsupportedMedia,
    422: InvalidRequest,
    429: Unavailable,
    502: Unavailable,
    503: Unavailable,
    504: Unavailable,
}


def error_of(status: int) -> type[ApiError]:
    """The error class for an HTTP status of 400 and above."""
    return ERROR_OF_STATUS.get(status, ServerFault if status >= 500 else InvalidRequest)
