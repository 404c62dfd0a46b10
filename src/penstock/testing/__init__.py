"""A whole platform inside a test: real store, real HTTP, a clock that can be moved, and no sleeps."""
