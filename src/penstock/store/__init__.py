"""Transactions over a durable store: what was acknowledged survives SIGKILL."""
