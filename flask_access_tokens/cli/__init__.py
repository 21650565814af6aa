"""The command line for operators: ``flask access-tokens``."""

from . import adoption as adoption
from . import doctor as doctor
from . import leaks as leaks
from . import notices as notices
from . import routes as routes
from . import tokens as tokens
from .group import commands as commands
