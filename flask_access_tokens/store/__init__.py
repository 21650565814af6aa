"""All SQL on the token table, apart from the writes of :mod:`flask_access_tokens.tokens`."""
