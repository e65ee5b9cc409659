"""Callers of the API: programs with accounts of their own, which sign in as everybody does."""

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import httpx
from fastapi.testclient import TestClient

from group.entities import LEGAL_ENTITIES
from group.settings import Settings
from pipelines import access
from serving import create_app

EVERYTHING = ("credit_officer", "marketer", "data_scientist", "administrator")
"""Roles that together may do all there is to do for a company."""


@contextmanager
def calling(
    settings: Settings, roles: Sequence[str] = EVERYTHING, companies: Sequence[str] = tuple(LEGAL_ENTITIES)
) -> Iterator[TestClient]:
    """A client of an API over ``settings``, signed in with an account of these roles and companies."""
    with TestClient(create_app(settings), raise_server_exceptions=False) as client:
        client.headers.update(signed_in(client, settings, roles, companies))
        yield client


def signed_in(
    client: httpx.Client,
    settings: Settings,
    roles: Sequence[str] = EVERYTHING,
    companies: Sequence[str] = tuple(LEGAL_ENTITIES),
) -> dict[str, str]:
    """The header of a new account's token."""
    name = f"caller-{uuid.uuid4().hex[:8]}"
    return bearer(client, name, access.add(settings, name, "client", roles, companies, by="a test"))


def bearer(client: httpx.Client, name: str, secret: str) -> dict[str, str]:
    """The header of a program's token."""
    form = {"grant_type": "client_credentials", "client_id": name, "client_secret": secret}
    reply = client.post("/v1/token", data=form)
    assert reply.status_code == 200, reply.text
    return {"Authorization": f"Bearer {reply.json()['access_token']}"}


def signed_in_at(url: str, settings: Settings) -> dict[str, str]:
    """The same at a server that runs for itself."""
    with httpx.Client(base_url=url, timeout=30) as client:
        return signed_in(client, settings)
