"""The signals of the extension. Their sender is the application, and none carries a secret."""

from blinker import Namespace

_namespace = Namespace()

token_generated = _namespace.signal("token-generated", "Sent after a token was generated. Keyword: token.")
token_used = _namespace.signal("token-used", "Sent when a guarded view accepts a token. Keyword: token.")
token_deleted = _namespace.signal("token-deleted", "Sent after a token was deleted. Keyword: token.")
token_rejected = _namespace.signal(
    "token-rejected",
    "Sent when a guarded view refuses a request. Keywords: reason (missing, malformed, unknown, expired, owner, scope"
    " or disabled) and token_id (None where no row was found).",
)
