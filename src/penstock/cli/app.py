"""``penstock``: the commands, and the one place where what goes wrong becomes a line and an exit code."""

from __future__ import annotations

import os
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Annotated, Any

import typer

from penstock import __version__
from penstock.cli import clock, completion, deployments, events, functions, queues, state, trace, up
from penstock.cli.problems import FAILED, INTERRUPTED, Problem
from penstock.cli.show import console

ABOUT = """Run event-driven serverless applications on this machine: AWS's protocols, durable, explainable.

Examples:

\b
  penstock up                        serve, and deploy the template of this folder if there is one
  penstock send orders '{"id": 1}'   put a message on a queue
  penstock trace 3f6c…               see everything it caused
"""

app = typer.Typer(
    help=ABOUT,
    rich_markup_mode=None,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
app.command(short_help="Start a server, deploy a template, follow the log.")(up.up)
app.command(short_help="Remove an application, or stop the server.")(deployments.down)
app.command(short_help="What runs, what is under way, what is due.")(state.status)
app.command(short_help="Send a message to a queue.")(queues.send)
app.command(short_help="Run a function.")(functions.invoke)
app.command(short_help="What functions logged; -f follows.")(functions.logs)
app.command(short_help="What happened; -f follows.")(events.events)
app.command(short_help="Everything an event caused, as a tree.")(trace.trace)
app.command(short_help="Show, freeze, advance or resume time.")(clock.clock)
app.command(short_help="Delete everything an account has.")(state.reset)
app.command(hidden=True)(up.serve_detached)
app.command(hidden=True)(functions.follow_beside)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"penstock {__version__}")
        raise typer.Exit


@app.callback()
def penstock(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
    install_completion: completion.Install = False,
    show_completion: completion.Show = False,
) -> None:
    """What all commands share."""


penstock.__doc__ = ABOUT


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit."""
    sys.exit(run(arguments))


def run(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    try:
        if completion.serve_named(given):
            return 0
        completion.prepare()
        code: Any = app(given, standalone_mode=False, prog_name="penstock")
        if code and (advice := completion.advice_to_name(given)):
            _say(advice)
    except Problem as problem:
        _say(problem.message)
        return problem.exit_code
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read the output has had enough: nothing more can be written, the interpreter's last flush included.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if hasattr(error, "show") and hasattr(error, "exit_code"):  # wrong use: typer words it
            error.show()
            return int(error.exit_code)
        details = Path(tempfile.mkstemp(prefix="penstock-", suffix=".txt")[1])
        details.write_text("".join(traceback.format_exception(error)))
        _say(f"This should not have happened: {type(error).__name__}: {error}. Please report it with {details}.")
        return FAILED
    return code if isinstance(code, int) else 0


def _say(message: str) -> None:
    out = console(stderr=True)
    out.print("Error:", style="bold red", end=" ")
    out.print(message, markup=False)
