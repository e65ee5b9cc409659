"""What can go wrong between raw data and features."""

from group.errors import InputError, JinkongError, Unavailable


class FeatureError(JinkongError):
    """Something went wrong in the features room."""


class UnreadableFile(FeatureError, InputError):
    """A file that cannot be read as the table it should hold: absent, empty, cut off, mis-encoded, another format."""


class ContractBroken(FeatureError, InputError):
    """A table without the columns of its contract, or with more rejected rows than the settings allow."""


class UnknownSource(FeatureError, InputError):
    """A data source that nobody has written an adapter for, or one without the folder or file it reads."""


class UnusableMapping(FeatureError, InputError):
    """A mapping file that cannot be read, or names what is not there."""


class FeatureFromTheFuture(FeatureError):
    """A feature row that was not known at the instant it is asked for."""


class MaterialisationIncomplete(FeatureError):
    """The online store does not hold what the offline store says it should."""


class UnknownParty(FeatureError, InputError):
    """A party of which a company has no features."""


class FeatureStoreUnavailable(FeatureError, Unavailable):
    """The online store does not answer, or holds no definitions yet."""


class UnsupportedSource(FeatureError, InputError):
    """A feature view whose rows the offline store cannot read or write."""


class UnknownFeatures(FeatureError, InputError):
    """Features, or keys to join them on, that are not there."""
