"""What can go wrong between features and a registered model."""

from group.errors import InputError, JinkongError, Unavailable


class TrainingError(JinkongError):
    """Something went wrong in the training room."""


class TooFewDefaults(TrainingError, InputError):
    """A frame with so few defaults (or none) that no model can be fitted or judged on it."""


class TooFewContacts(TrainingError, InputError):
    """Contacts that were not held out at random, or so few that nothing can be told of what a contact causes."""


class TooFewPayments(TrainingError, InputError):
    """Too little is known of what customers pay to tell what one brings in, or what a default costs."""


class NoChampion(TrainingError, Unavailable):
    """The registry has no model that may be served."""


class NoReference(TrainingError, Unavailable):
    """A model without the frame that its later rows are held against."""


class ModelTampered(TrainingError):
    """A stored model is not the one that was registered: a hash differs."""


class RegistryUnavailable(TrainingError, Unavailable):
    """The MLflow server or its store does not answer."""


class RayUnavailable(TrainingError, Unavailable):
    """The Ray cluster cannot be joined."""


class GrowthFailed(TrainingError):
    """Workers could not grow a booster to the end."""


class NotExplainable(TrainingError):
    """A model whose scores cannot be taken apart into contributions of features."""


class WrongTask(TrainingError, InputError):
    """A model that is for something else than what it is asked for."""


class WrongInput(TrainingError, InputError):
    """A value that a model's column cannot be: ``name`` is the column."""

    def __init__(self, name: str, value: object, wanted: str) -> None:
        super().__init__(f"The column '{name}' holds {value!r}, which is not {wanted}.")
        self.name, self.wanted = name, wanted


class NothingToScore(TrainingError):
    """No column says anything about the target."""


class PromotionRefused(TrainingError, InputError):
    """A version cannot become champion: it misses a hard limit, or nobody else has approved it."""


class NoEarlierChampion(TrainingError, InputError):
    """There is no version to roll back to."""


class UnusableTable(TrainingError, InputError):
    """A flat table that cannot be trained on, or not as it was asked."""


class InvalidTerms(TrainingError, InputError):
    """Terms of a product, or caps on offers, that contradict themselves."""


class NothingTried(TrainingError, InputError):
    """A search for parameters that could not try any to the end."""
