"""Personal access tokens for Flask: a page for people, a guard for programs, a command line for operators."""

__version__ = "0.1.0"

from . import tokens as tokens
from .api.guard import current_token as current_token
from .api.guard import require_token as require_token
from .api.guard import token_required as token_required
from .extension import AccessTokens as AccessTokens
from .models import AccessTokenMixin as AccessTokenMixin
from .signals import token_deleted as token_deleted
from .signals import token_expiring as token_expiring
from .signals import token_generated as token_generated
from .signals import token_rejected as token_rejected
from .signals import token_reused as token_reused
from .signals import token_rotated as token_rotated
from .signals import token_used as token_used
