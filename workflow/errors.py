"""What goes wrong in the workflow."""

from group.errors import InputError, JinkongError, Unavailable


class WorkflowError(JinkongError):
    """Something in this room went wrong."""


class WrongPolicy(WorkflowError, InputError):
    """A pre-credit policy that nothing can be decided by."""


class NoPolicy(WorkflowError, Unavailable):
    """No pre-credit policy is released."""


class UnknownProduct(WorkflowError, InputError):
    """A product that the policy does not offer for the company."""


class OfferClosed(WorkflowError, InputError):
    """An offer that cannot be accepted: ``code`` says why, and is stable."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
