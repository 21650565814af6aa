"""The guard that lets programs in with a bearer token (RFC 6750)."""
