"""The command line ``mbmf``."""

from __future__ import annotations

import inspect
import sys
from dataclasses import dataclass
from typing import Annotated, Any

import tyro

from mbmf_ros.commands.baseline import Baseline
from mbmf_ros.commands.collect import Collect
from mbmf_ros.commands.finetune import Finetune
from mbmf_ros.commands.follow import Follow
from mbmf_ros.commands.imitate import Imitate
from mbmf_ros.commands.learn import Learn
from mbmf_ros.commands.paths import Paths
from mbmf_ros.commands.train import Train
from mbmf_ros.errors import MbmfError
from mbmf_ros.up import UpConfig, run_up


@dataclass(frozen=True)
class Up(UpConfig):
    __doc__ = UpConfig.__doc__

    def run(self) -> int:
        return run_up(self)


_UP_EXAMPLES = "\n\nExamples:\n    mbmf up ant_sim\n    mbmf up ant_sim --headless --paths paths.json --json out.json"


def _named(name: str, kind: type, more: str = "") -> Any:
    """A subcommand whose help shows the whole docstring; of its own accord tyro leaves out the examples."""
    return tyro.conf.subcommand(name, description=(inspect.getdoc(kind) or "") + more)


Command = (
    Annotated[Collect, _named("collect", Collect)]
    | Annotated[Train, _named("train", Train)]
    | Annotated[Learn, _named("learn", Learn)]
    | Annotated[Imitate, _named("imitate", Imitate)]
    | Annotated[Baseline, _named("baseline", Baseline)]
    | Annotated[Finetune, _named("finetune", Finetune)]
    | Annotated[Follow, _named("follow", Follow)]
    | Annotated[Paths, _named("paths", Paths)]
    | Annotated[Up, _named("up", UpConfig, _UP_EXAMPLES)]
)


def one_set(arguments: list[str]) -> list[str]:
    """Command-line arguments with the values of all ``--set`` at the first one; tyro alone keeps only the last.

    >>> one_set(["imitate", "--set", "a=1", "b=2", "--seed", "3", "--set=c=4"])
    ['imitate', '--set', 'a=1', 'b=2', 'c=4', '--seed', '3']
    """
    others: list[str] = []
    values: list[str] = []
    place, into = None, others
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if name == "--set":
            place = len(others) if place is None else place
            into = values
            values += [value] if equals else []
        else:
            into = others if argument.startswith("-") else into
            into.append(argument)
    return others if place is None else [*others[:place], "--set", *values, *others[place:]]


def main(arguments: list[str] | None = None) -> int:
    """Run ``mbmf``; returns the exit code: 2 for bad input, 130 for Ctrl-C."""
    given = one_set(sys.argv[1:] if arguments is None else arguments)
    try:
        command = tyro.cli(Command, prog="mbmf", description=__doc__, args=given)  # type: ignore[arg-type]
        if not isinstance(command, Up):
            from mbmf_ros.threads import one_thread

            one_thread()
        return command.run()
    except MbmfError as error:
        print(f"mbmf: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        if error.filename is None:
            raise
        print(f"mbmf: {error.filename}: {error.strerror}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
