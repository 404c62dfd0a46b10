"""What can be wrong with a pattern."""

from __future__ import annotations

from penstock.base.errors import PenstockError


class PatternError(PenstockError):
    """A pattern AWS would not accept. ``str`` is AWS's sentence, without the service's own introduction."""
