"""The command line: `effsearch COMMAND`, and what becomes of an error."""

import errno
import os
import sys
from collections.abc import Callable

import typer

from effsearch import __version__
from effsearch.cli.networks import compare, describe, latency, scale
from effsearch.cli.replay import replay
from effsearch.cli.runs import dashboard, list_runs, plot, report, show
from effsearch.cli.searches import curves, grid, nas
from effsearch.cli.train import export, train
from effsearch.cli.trained import cam, evaluate, predict
from effsearch.cli.transfer import transfer
from effsearch.cli.verify import verify
from effsearch.errors import EffsearchError
from effsearch.text import sanitize

app = typer.Typer(
    name="effsearch",
    help="Find a convolutional network for a compute budget, find how it should grow, and grow it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
SEARCH, NETWORK, TRAINING, RUNS = "Search", "One network", "Training and use", "Runs and tables"
COMMANDS: dict[str, dict[str, Callable[..., None]]] = {
    SEARCH: {"nas": nas, "grid": grid, "curves": curves, "verify": verify, "replay": replay},
    NETWORK: {"describe": describe, "scale": scale, "latency": latency},
    TRAINING: {
        "train": train,
        "transfer": transfer,
        "predict": predict,
        "evaluate": evaluate,
        "cam": cam,
        "export": export,
    },
    RUNS: {"runs": list_runs, "show": show, "plot": plot, "report": report, "dashboard": dashboard, "compare": compare},
}
for panel, commands in COMMANDS.items():
    for name, command in commands.items():
        app.command(name, rich_help_panel=panel)(command)

ClickException: type[Exception] = typer.BadParameter.__mro__[2]
"""What typer raises for bad arguments; newer versions of it carry a click of their own, so it has no fixed name."""


@app.callback(invoke_without_command=True)
def _root(version: bool = typer.Option(False, "--version", help="Print the version and exit.")) -> None:
    if version:
        typer.echo(f"effsearch {__version__}")
        raise typer.Exit


def main() -> None:
    """Runs a command; an error that the user can mend is one line on standard error, and exit status 2."""
    try:
        sys.exit(app(standalone_mode=False) or 0)
    except EffsearchError as error:
        _complain(str(error))
    except (typer.Abort, KeyboardInterrupt):
        sys.exit(130)
    except BrokenPipeError:
        # The reader of a pipe, such as head, has seen enough; Python would complain again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        _complain(f"{str(error.filename)[:80]!r} goes on too long for the name of a file or folder")
    except ClickException as error:
        message = str(error.format_message())  # type: ignore[attr-defined]
        if type(error).__name__ == "NoArgsIsHelpError":
            typer.echo(message)
            sys.exit(2)
        _complain(message + _got(error, message))


def _got(error: Exception, message: str) -> str:
    """What was given for the option at fault, where typer says only what is allowed."""
    for option in getattr(getattr(error, "param", None), "opts", ()):
        for index, argument in enumerate(sys.argv):
            after = sys.argv[index + 1 : index + 2] if argument == option else []
            values = [argument.removeprefix(f"{option}=")] if argument.startswith(f"{option}=") else after
            if values and repr(values[0]) not in message:
                return f", got {values[0]!r}"
    return ""


def _complain(message: str) -> None:
    print(f"effsearch: {sanitize(' '.join(message.split()))}", file=sys.stderr)
    sys.exit(2)
