"""Execution environments: the processes that run functions' code, and what lies between them and the server.

environments.py  every environment of this machine: which one takes an event, how many there are, when they end
environment.py   one environment: INIT, then one event at a time
process.py       its processes: started, watched, ended with all they started
launcher.py      the server's end of the launcher, which forks and isolates them (inside/)
channel.py       the short way to awslambdaric; runtime_api.py, the standard one to every other runtime
logs.py memory.py report.py variables.py packages.py layers.py   what their names say
"""
