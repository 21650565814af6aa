"""The IDs to which tokens belong where the session of Flask-Login decides: they must not change."""

from ..finding import Finding
from ..session_user import other_id_problem
from ..state import State
from ..store.owners import load_owner, some_owner_ids


def session_id_findings(state: State) -> list[Finding]:
    """Find that tokens belong to what ``get_id()`` returns although it is not the key of the user.

    It is told by the owners of tokens that are stored: without an instance, nothing is known of its key.
    """
    loaders, manager = state.loaders, state.login_manager
    by_session = state.owner is None and loaders.owner is None and loaders.identity is None
    if not by_session or manager is None or manager.user_callback is None:
        return []
    # A user loader is otherwise called in requests only, and that of Flask-Security needs one.
    with state.app.test_request_context():
        for owner_id in some_owner_ids(state):
            user = load_owner(state, owner_id)
            problem = None if user is None else other_id_problem(user, user.get_id())
            if problem is not None:
                return [Finding("session-id", problem)]
    return []
