"""Execution environments: the processes that run functions' code, and what lies between them and the server.

    environments.py  every environment of this machine: how many there are, when they end
    pool.py          those of one revision of a function, and the events that wait for one
    environment.py   one environment: INIT, then one event at a time
    beginning.py     what it begins with: key, folders, variables.py, /opt (layers.py), /var/runtime (packages.py)
    process.py       its processes: started, watched, ended with all they started
    launcher.py      the server's end of the launcher, which forks and isolates them (inside/)
    channel.py       the short way to awslambdaric; runtime_api.py, the standard one to every other runtime
    runtimes.py logs.py memory.py report.py   what their names say

docs/internals/decisions/environments-are-forked.md says why.
"""
