"""The command line: ``penstock``. It talks HTTP to a server, and only ``up`` runs one."""
