"""Clock, names, errors and limits: what everything else stands on, and which knows nothing of it."""
