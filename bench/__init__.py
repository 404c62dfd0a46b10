"""The benchmark: ``python -m bench`` measures Penstock beside a bare ASGI app, in one run, and prints ratios."""
