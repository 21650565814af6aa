"""What a token check costs, and what it withstands: measured beside its neighbours in one run."""
