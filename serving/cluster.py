"""The API on a Ray cluster: ``serve run serving/cluster.yaml``, or ``serve deploy`` to one that runs.

Each replica is what a worker of ``jinkong serve`` is. What they share has to be reachable from every node: the home
folder, PostgreSQL for the state, Redis or PostgreSQL for online features, and the keys of access tokens.
"""

from typing import Final

from ray import serve

from group.errors import InputError
from group.libraries import prepare_libraries
from group.settings import load_settings
from serving.direct import DirectApi
from serving.server import replica_app


class NotForReplicas(InputError):
    """Settings by which replicas would not believe each other's tokens, or not see each other's records."""


def build_api() -> DirectApi:
    """The application of one replica, by the settings of its environment.

    Raises:
        NotForReplicas: a setting that replicas have to share is left to its default.
    """
    prepare_libraries()
    settings = load_settings()
    if settings.token_keys is None:
        raise NotForReplicas("Set JINKONG_TOKEN_KEYS: a token that one replica gives has to be believed by the others.")
    if not settings.database_url.startswith("postgresql"):
        raise NotForReplicas("Set JINKONG_DATABASE_URL to a PostgreSQL: replicas write one audit log.")
    return replica_app(settings)


_Api = serve.deployment(name="api")(serve.ingress(build_api)())
app: Final = _Api.bind()
"""What ``cluster.yaml`` deploys."""
