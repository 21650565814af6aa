"""What a program may do with its own token: ask what it is, delete it, and rotate it."""

from flask import Response, current_app

from ..rotation import SuccessorUsed, delete_own, raise_alarm, rotate_own
from ..state import current_state
from ..store.connections import StoreError
from ..store.rotation import AlreadyReplaced, TokenGone
from ..texts import in_english
from ..tokens import TokenRefused
from .challenge import MALFORMED, BearerError, InvalidToken, ReplacedToken
from .guard import authenticate, refused, unavailable
from .responses import as_json, refusal, time_json, token_json


def show() -> Response:
    """Tell a program about its token."""
    return as_json(**token_json(authenticate()))


def delete() -> Response:
    """Delete the token of the request, and the successors that it asked for."""
    delete_own(authenticate(), "token")
    return current_app.response_class(status=204)


def rotate() -> Response:
    """Rotate the token of the request, again where the response was lost. A token can generate no other token."""
    token = authenticate()
    try:
        with in_english():
            new, predecessor = rotate_own(token)
    except SuccessorUsed:
        return refusal(409, "token_reused", "The access token has been replaced, and its successor is in use.")
    except AlreadyReplaced:
        return refusal(409, "conflict", "The access token was rotated at the same moment. Try again.")
    except TokenGone:
        raise refused(InvalidToken(MALFORMED)) from None
    except TokenRefused as error:
        if error.field is not None:
            return refusal(409, "successor_deleted", "The successor was deleted. Generate a new access token instead.")
        return refusal(409, "limit_reached", "The owner has as many access tokens as allowed. Delete one first.")
    return as_json(
        secret=new.secret,
        token=token_json(new.token),
        predecessor_expires_at=time_json(predecessor.expires_at),
    )


def refuse_replaced(error: ReplacedToken) -> BearerError:
    """Raise the alarm for a replaced token whose secret was sent after the overlap, and return the refusal.

    It has been stolen, or its successor has: nobody can tell which of the two is the thief's (RFC 9700 §4.14.2).
    """
    if current_state().enabled(error.token.owner_id):
        try:
            raise_alarm(error.token)
        except StoreError as failed:
            return unavailable(failed)
    return error
