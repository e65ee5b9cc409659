"""Signing in: access tokens for programs and people (OAuth 2.0, RFC 6749), and a person's password."""

import base64
import binascii
from http import HTTPStatus
from typing import Annotated, Final

from fastapi import APIRouter, Form, Request, Security
from fastapi.responses import JSONResponse

from group.accounts import Account, AccountError, Kind, change_password, signed_in
from serving.callers import TOKEN_PATH, allowed, backend_of, problems
from serving.messages.access import AccountReply, NewPassword, SignInProblem, TokenReply
from serving.problems import ApiError
from serving.tokens import Caller, Tokens

_REFUSED: Final = "Name and secret open no account now: one is wrong, or the account is closed, or locked for minutes."

signing_in: Final = APIRouter(tags=["access"])


class SignInError(Exception):
    """A refusal as OAuth words it."""

    def __init__(self, status: HTTPStatus, error: str, description: str) -> None:
        super().__init__(description)
        self.status = status
        self.error = error


def sign_in_problem(error: SignInError) -> JSONResponse:
    """The answer that RFC 6749, section 5.2 asks for."""
    headers = {"Cache-Control": "no-store"}
    if error.status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Basic"
    return JSONResponse({"error": error.error, "error_description": str(error)}, error.status, headers)


@signing_in.post(
    TOKEN_PATH,
    summary="An access token",
    responses={
        400: {"model": SignInProblem},
        401: {"model": SignInProblem},
        503: problems()[503],
    },
)
def token(
    request: Request,
    grant_type: Annotated[str, Form(description="client_credentials or password", max_length=40)] = "",
    client_id: Annotated[str, Form(max_length=80)] = "",
    client_secret: Annotated[str, Form(max_length=256)] = "",
    username: Annotated[str, Form(max_length=80)] = "",
    password: Annotated[str, Form(max_length=256)] = "",
    scope: Annotated[str, Form(description="separated by spaces; all of one's own if empty", max_length=500)] = "",
) -> JSONResponse:
    """For a program by its id and secret (in the form, or as Basic authorisation), for a person by their password."""
    kind, name, secret = _shown(request, grant_type, (client_id, client_secret), (username, password))
    account = _opened(request, name, secret, kind)
    if account.must_change:
        detail = "The password was given for the first sign-in alone: choose one with POST /v1/account/password."
        raise SignInError(HTTPStatus.BAD_REQUEST, "password_change_required", detail)
    asked = frozenset(scope.split()) or account.scopes
    if not asked <= account.scopes:
        detail = f"'{name}' does not have the scope {', '.join(sorted(asked - account.scopes))}."
        raise SignInError(HTTPStatus.BAD_REQUEST, "invalid_scope", detail)
    tokens: Tokens = request.app.state.tokens
    reply = TokenReply(
        access_token=tokens.given_to(account, asked, backend_of(request).now()),
        expires_in=int(tokens.lasts.total_seconds()),
        scope=" ".join(sorted(asked)),
    )
    return JSONResponse(reply.model_dump(), headers={"Cache-Control": "no-store"})


@signing_in.get("/v1/account", summary="Who am I?", responses=problems())
def account(caller: Annotated[Caller, Security(allowed)]) -> AccountReply:
    """Whose token is shown, what it allows, and for which companies."""
    return AccountReply(name=caller.name, scopes=sorted(caller.scopes), legal_entities=sorted(caller.legal_entities))


@signing_in.post("/v1/account/password", summary="Choose a password", responses=problems(), status_code=204)
def password(wanted: NewPassword, request: Request) -> None:
    """Of the person who knows the present one; that of the first sign-in has to be changed."""
    try:
        account = _opened(request, wanted.username, wanted.password, "person")
    except SignInError as error:
        raise ApiError(HTTPStatus.UNAUTHORIZED, "unauthorized", str(error)) from None
    backend = backend_of(request)
    try:
        with backend.engine.begin() as connection:
            change_password(connection, account.name, wanted.new_password, backend.now())
    except AccountError as error:
        raise ApiError(HTTPStatus.UNPROCESSABLE_ENTITY, "unusable_password", str(error)) from None


def _shown(
    request: Request, grant_type: str, client: tuple[str, str], person: tuple[str, str]
) -> tuple[Kind, str, str]:
    if grant_type == "client_credentials":
        return ("client", *(_basic(request.headers.get("authorization", "")) or client))
    if grant_type == "password":
        return ("person", *person)
    raise SignInError(HTTPStatus.BAD_REQUEST, "unsupported_grant_type", "grant_type is client_credentials or password.")


def _basic(header: str) -> tuple[str, str] | None:
    kind, _, encoded = header.partition(" ")
    if kind.lower() != "basic":
        return None
    try:
        name, _, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        raise SignInError(HTTPStatus.BAD_REQUEST, "invalid_request", "The Basic authorisation is no base64.") from None
    return name, secret


def _opened(request: Request, name: str, secret: str, kind: Kind) -> Account:
    backend = backend_of(request)
    # A name that nobody has may be asked for as often as one account may be.
    request.app.state.rates.take(f"sign-in of {name}", 5.0)
    with backend.engine.begin() as connection:
        found = signed_in(connection, name, secret, kind, backend.now())
    if found is None:
        raise SignInError(HTTPStatus.UNAUTHORIZED, "invalid_client" if kind == "client" else "invalid_grant", _REFUSED)
    return found
