"""``make clients``."""

import sys

from .preparing import prepare_all

sys.exit(prepare_all())
