"""What can go wrong while models are watched."""

from group.errors import JinkongError


class MonitoringError(JinkongError):
    """Something went wrong in monitoring."""
