"""The root of every error that Jinkong raises on purpose.

An error that a user can cause is a sentence: what was wrong, where, and what would be right. The command line
prints that sentence and nothing else, and ends with ``exit_code``.
"""


class JinkongError(Exception):
    """Something that Jinkong noticed and can explain. Its message is a whole sentence."""

    exit_code = 1


class InputError(JinkongError):
    """Something that the user gave (a file, a setting, a request) cannot be used as it is."""

    exit_code = 2


class Unavailable(JinkongError):
    """A service or a resource that the work needs is not there (yet)."""

    exit_code = 3
