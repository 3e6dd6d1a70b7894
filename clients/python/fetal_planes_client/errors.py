"""The errors of the client.

::

    ClientError
    ├── RefusedError          the service refused the request
    ├── CutShortError         the reply to a batch ended before its last line
    ├── UnreachableError      the service cannot be reached, or the connection broke
    └── UnreadableReplyError  the reply is none of this service
"""

from fetal_planes_client.types.problems import ProblemDetails


class ClientError(Exception):
    """The service gave no usable answer."""


class RefusedError(ClientError):
    """The service refused the request.

    Attributes
    ----------
    status
        HTTP status.
    problem
        Why; its `code` is stable. None when the reply comes from another server, such as a proxy.
    """

    def __init__(self, status: int, problem: ProblemDetails | None) -> None:
        super().__init__(f"{status}: {problem.detail}" if problem else f"{status}")
        self.status = status
        self.problem = problem


class CutShortError(ClientError):
    """The reply to a batch ended before its last line."""


class UnreachableError(ClientError):
    """The service cannot be reached, or the connection broke before the answer was complete."""


class UnreadableReplyError(ClientError):
    """The reply is not one of this service: check the address."""
