"""How Sphinx builds the documentation."""

from importlib.metadata import version as installed

project = "flask-access-tokens"
author = "The flask_access_tokens authors"
project_copyright = author
version = release = installed(project)

extensions = ["myst_parser", "sphinx.ext.autodoc"]
exclude_patterns = ["_build"]
nitpicky = False
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
myst_heading_anchors = 3

html_theme = "furo"
html_title = "flask-access-tokens"
html_show_sphinx = False
