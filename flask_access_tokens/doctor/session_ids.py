"""Owner IDs that may change: those that Flask-Login keeps in the session, where they are not primary keys."""

from ..finding import Finding
from ..session_user import other_id_problem
from ..state import State
from ..store.owners import load_owner, some_owner_ids


def session_id_findings(state: State) -> list[Finding]:
    """Find that tokens belong to what ``get_id()`` returns although it is not the primary key of the user.

    The owners of some stored tokens are loaded, because only an instance has a key to compare with.

    :raises StoreError: where the database cannot be used.
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
