"""Completion for the shell of the user, or for one that is named: ``penstock --install-completion zsh``.

Typer's own options take no name and pass over what follows them; and a help of theirs is too long for fish's list.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final

import typer
from typer.completion import (
    get_completion_inspect_parameters,
    get_completion_script,
    install,
    install_callback,
    show_callback,
)

from penstock.cli.problems import WRONG_USE, Problem

INSTALL: Final = "--install-completion"
SHOW: Final = "--show-completion"
SHELLS: Final = ("bash", "zsh", "fish", "powershell", "pwsh")
Install = Annotated[
    bool,
    typer.Option(INSTALL, callback=install_callback, help="Install completion for this shell, or the one named."),
]
Show = Annotated[
    bool, typer.Option(SHOW, callback=show_callback, help="Show the script of it, to copy or change it.")
]
_PROGRAM: Final = "penstock"
_VARIABLE: Final = "_PENSTOCK_COMPLETE"


def prepare() -> None:
    """Let typer answer shells that ask for completions: it does so of itself only with options of its own."""
    get_completion_inspect_parameters()


def serve_named(arguments: Sequence[str]) -> bool:
    """Install or show the completion for a shell that the arguments name; False when they ask for no such thing.

    Problem when they name no shell that there is a completion for.
    """
    option, shell = _asked(arguments)
    if not shell:
        return False
    if shell not in SHELLS:
        raise Problem(f"There is no completion for {shell}: name one of {', '.join(SHELLS)}.", exit_code=WRONG_USE)
    if option == SHOW:
        typer.echo(get_completion_script(prog_name=_PROGRAM, complete_var=_VARIABLE, shell=shell))
    else:
        _, path = install(shell=shell, prog_name=_PROGRAM, complete_var=_VARIABLE)
        typer.echo(f"Completion for {shell} is installed in {path}; it is there in shells that start from now on.")
    return True


def advice_to_name(arguments: Sequence[str]) -> str | None:
    """What to do when typer could not tell which shell it was started from; None when that was not asked."""
    option, shell = _asked(arguments)
    if not option or shell:
        return None
    return f"Name the shell: penstock {option} {SHELLS[0]} (or {', '.join(SHELLS[1:])})."


def _asked(arguments: Sequence[str]) -> tuple[str, str]:
    option, equals, shell = (arguments[0] if arguments else "").partition("=")
    if option not in (INSTALL, SHOW):
        return "", ""
    return option, shell if equals else (arguments[1] if len(arguments) > 1 else "")
