"""The package on clusters of databases, of which a server stops, freezes or is cut off.

It uses the helpers of the tests (``tests/support``), so it needs a checkout.
"""

import sys
from pathlib import Path

CHECKOUT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(CHECKOUT / "tests" / "support"))
