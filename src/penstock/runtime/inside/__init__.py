"""What runs beside the server, not in it: the launcher's own processes and what enters an environment with user code.

These files are run by path with an isolated interpreter. They import the standard library and one another, by bare
name: nothing of Penstock. The server itself imports only
``killing`` and the names of ``sandbox``.
"""
