"""What an application may listen to. The sender is the application; no signal carries a secret."""

from blinker import Namespace

_namespace = Namespace()

token_generated = _namespace.signal("token-generated", "A token was generated. Keyword: token.")
token_used = _namespace.signal("token-used", "A token was accepted by a guarded view. Keyword: token.")
token_deleted = _namespace.signal("token-deleted", "A token was deleted. Keyword: token.")
token_rejected = _namespace.signal(
    "token-rejected",
    "A guarded view refused a request. Keywords: reason, one of missing, malformed, unknown, expired, owner, scope"
    " and disabled; token_id, None where no row was found.",
)
