"""What can go wrong with a Hub, sorted by what the caller can do about it.

    HubError
    ├── Retryable           nothing is decided yet: the same call may be made again
    │   ├── Unreachable     no connection, or no answer to a call that changes nothing
    │   ├── Busy            the Hub asks to come back later (`retry_after` seconds)
    │   ├── ServerFault     the Hub, or a proxy before it, failed (other 5xx)
    │   └── BadAnswer       the body is not what a Hub sends: a proxy's page, a cut answer
    ├── OutcomeUnknown      a change may have happened or not: look before trying again
    └── Permanent           the same call will fail again: fix something, or give up
        ├── AuthError       the credentials are refused
        ├── Forbidden       the credentials are good, the permission is missing
        ├── NotFound        no such thing on this Hub, or not any more
        ├── Refused         the Hub understands the request and declines it (any other 4xx, 501)
        └── ContractError   the Hub's answer breaks the contract: operation and field are named

Only the class decides, never the text. No error holds a request, a header or a credential.
"""

from datetime import timedelta

from temporalio.exceptions import ApplicationError


class HubError(Exception):
    """Something went wrong between us and the Hub."""

    def __init__(self, message: str, *, operation: str = "", status: int | None = None) -> None:
        super().__init__(message)
        self.operation = operation
        self.status = status


class Retryable(HubError):
    """The call may be made again: it changed nothing, or it was not accepted."""

    retry_after: float | None = None


class Unreachable(Retryable):
    """No connection to the Hub (then `sent` is false), or no answer from it: check that it runs, URL and network."""

    def __init__(self, message: str, *, operation: str = "", status: int | None = None, sent: bool = True) -> None:
        super().__init__(message, operation=operation, status=status)
        self.sent = sent


class Busy(Retryable):
    """The Hub accepted nothing and asks to come back after `retry_after` seconds."""

    def __init__(
        self, message: str, *, operation: str = "", status: int | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(message, operation=operation, status=status)
        self.retry_after = retry_after


class ServerFault(Retryable):
    """The Hub or a proxy before it failed; it may work later."""


class BadAnswer(Retryable):
    """The answer is not JSON or is cut off: most often a proxy speaks for the Hub."""


class OutcomeUnknown(HubError):
    """A change was sent and no trustworthy answer came: look whether it happened before sending it again."""


class Permanent(HubError):
    """The same call will fail in the same way: something must be fixed first."""


class AuthError(Permanent):
    """The Hub refuses the credentials: set the right client key, or user name and password."""


class Forbidden(Permanent):
    """The account lacks the permission, even with a fresh token: grant it on the Hub."""


class NotFound(Permanent):
    """The Hub knows no such thing, or it was deleted."""


class Refused(Permanent):
    """The Hub declines the request as it is: change the request."""


class ContractError(Permanent):
    """The Hub's answer does not keep the contract: compare the Hub's version with the supported one."""


#: Names of the classes that no retry can help, for `RetryPolicy.non_retryable_error_types`.
PERMANENT: tuple[str, ...] = tuple(
    kind.__name__ for kind in (Permanent, AuthError, Forbidden, NotFound, Refused, ContractError)
)


def as_application_error(error: HubError) -> ApplicationError:
    """Say the same to Temporal: the class as type, no retry for a permanent one, the Hub's own wait if it named one."""
    wait = error.retry_after if isinstance(error, Retryable) else None
    return ApplicationError(
        str(error),
        type=type(error).__name__,
        non_retryable=isinstance(error, Permanent),
        next_retry_delay=None if wait is None else timedelta(seconds=wait),
    )
