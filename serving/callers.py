"""Who calls, what they may do, and what every route shares."""

from http import HTTPStatus
from typing import Annotated, Any, Final

from fastapi import Depends, Request
from fastapi.openapi.models import OAuthFlowClientCredentials, OAuthFlowPassword, OAuthFlows
from fastapi.security import OAuth2, SecurityScopes

from group.roles import SCOPES
from serving.backend import Backend
from serving.limits import Rates
from serving.messages.errors import Problem
from serving.problems import MEDIA_TYPE, ApiError
from serving.tokens import Caller, InvalidToken, Tokens

TOKEN_PATH: Final = "/v1/token"  # noqa: S105 - a path

_oauth2: Final = OAuth2(
    flows=OAuthFlows(
        clientCredentials=OAuthFlowClientCredentials(tokenUrl=TOKEN_PATH, scopes=SCOPES),
        password=OAuthFlowPassword(tokenUrl=TOKEN_PATH, scopes=SCOPES),
    ),
    auto_error=False,
    description="Programs sign in with their id and secret, people with their password",
)


def caller_of(request: Request, *scopes: str) -> Caller:
    """Who calls; they have every one of ``scopes``, and have not asked too often.

    Raises:
        ApiError: 401, there is no token or none of ours; 403, it lacks a scope; 429, too many requests.
    """
    state = request.app.state
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    if kind.lower() != "bearer" or not token:
        detail = f"Send an access token as 'Authorization: Bearer …'; POST {TOKEN_PATH} gives one."
        raise ApiError(HTTPStatus.UNAUTHORIZED, "unauthorized", detail)
    tokens: Tokens = state.tokens
    backend: Backend = state.backend
    try:
        caller = tokens.caller(token, backend.now())
    except InvalidToken as error:
        raise ApiError(HTTPStatus.UNAUTHORIZED, "unauthorized", str(error)) from None
    missing = [scope for scope in scopes if scope not in caller.scopes]
    if missing:
        detail = f"'{caller.name}' lacks the scope '{missing[0]}': {SCOPES[missing[0]]}."
        raise ApiError(HTTPStatus.FORBIDDEN, "missing_scope", detail)
    rates: Rates = state.rates
    rates.take(caller.name, caller.requests_per_second)
    return caller


def require_company(caller: Caller, legal_entity: str) -> None:
    """Make sure that the caller acts for the company.

    Raises:
        ApiError: 403, they do not.
    """
    if legal_entity not in caller.legal_entities:
        own = ", ".join(sorted(caller.legal_entities)) or "no company"
        detail = f"'{caller.name}' acts for {own}, not for '{legal_entity}'."
        raise ApiError(HTTPStatus.FORBIDDEN, "another_company", detail)


async def allowed(request: Request, scopes: SecurityScopes, _shown: Annotated[object, Depends(_oauth2)]) -> Caller:
    """The caller, for ``Security(allowed, scopes=[…])``: the API's page then says what a route asks for."""
    return caller_of(request, *scopes.scopes)


def backend_of(request: Request) -> Backend:
    """The database and the models that all requests of the process share."""
    backend: Backend = request.app.state.backend
    return backend


def problems(*statuses: HTTPStatus) -> dict[int | str, dict[str, Any]]:
    """The errors that a route answers with, for the API's page; what every route may answer is among them."""
    every = {
        *statuses, HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.UNPROCESSABLE_ENTITY,
        HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE,
    }  # fmt: skip
    return {
        int(status): {"description": status.phrase, "content": {MEDIA_TYPE: {"schema": _PROBLEM}}}
        for status in sorted(every)
    }


_PROBLEM: Final = Problem.model_json_schema()
