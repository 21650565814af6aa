"""Checks of an application: what is wrong with how the package is set up on it."""

from .examination import examine as examine
