"""Parsing, errors and exit codes of the command.

Exit codes: 0 success; 1 a fault of this program; 2 something the user can put right; 130 stopped
with Ctrl-C; 143 terminated.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import textwrap
import threading
import traceback
from collections.abc import Mapping, Sequence
from types import FrameType
from typing import NoReturn

import hideseek_backend
from hideseek_backend.cli.verbs import Verb, verbs
from hideseek_backend.errors import Cancelled, HideSeekError

DESCRIPTION = """\
Lytic and blastic lesion candidates in spine CT, from vertebra labels alone: healthy edits by a
diffusion autoencoder, scored by Hide-and-Seek Attribution.

Research use only: not a medical device, not cleared for diagnosis."""

FIRST_STEPS = """\
first steps:
  hideseek phantom --out phantom --seed 7
  hideseek segment phantom/ct.nii.gz phantom/vertebrae.nii.gz --out results
  then open results/report.html"""


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors read like the command's other errors."""

    def error(self, message: str) -> NoReturn:
        """Print the error and where help is, and exit with 2."""
        sys.stderr.write(f"error: {message}\n       '{self.prog} --help' shows the options.\n")
        self.exit(2)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv` (default: the process's own) and return the exit code.

    Raises SystemExit as argparse does, for --help, --version and unusable arguments.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    parser = build_parser(arguments)
    args = parser.parse_args(arguments)
    if not hasattr(args, "command"):
        chosen = getattr(args, "unfinished", parser)
        chosen.print_help(sys.stderr)
        return 2
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _terminate)
    return _run(args)


def build_parser(arguments: Sequence[str]) -> argparse.ArgumentParser:
    """Return the parser for `arguments`; only the verb they name has its options filled in."""
    parser = Parser(
        prog="hideseek",
        description=DESCRIPTION,
        epilog=FIRST_STEPS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action=_Version)
    words = [word for word in arguments if not word.startswith("-")]
    _add_verbs(parser, verbs(), words)
    return parser


def _add_verbs(
    parser: argparse.ArgumentParser, known: Mapping[str, Verb], words: list[str]
) -> None:
    chosen = words[0] if words else ""
    group = parser.add_subparsers(title="verbs", metavar="VERB", parser_class=Parser)
    for name, verb in known.items():
        child = group.add_parser(
            name,
            help=verb.help,
            description=_sentence(verb.help),
            epilog=f"example:\n  {verb.example}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        child.set_defaults(unfinished=child)
        if name != chosen:
            continue
        if verb.parts:
            _add_verbs(child, dict(verb.parts), words[1:])
            continue
        command = verb.load()
        command.add_arguments(child)
        child.add_argument("--debug", action="store_true", help="show the traceback of an error")
        child.set_defaults(command=command.main)


def _run(args: argparse.Namespace) -> int:
    try:
        return int(args.command(args) or 0)
    except (KeyboardInterrupt, Cancelled):
        _say("stopped; nothing half-written was left behind.")
        return 130
    except HideSeekError as error:
        return _explain(error.message, error.remedy, args)
    except BrokenPipeError:
        # The reader of our output has gone (`| head`): be quiet about it at exit as well.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except MemoryError:
        return _explain(
            "Not enough memory.",
            "Close other programs, analyse fewer --levels at once, or use --slices central.",
            args,
        )
    except Exception as error:  # the last place that can turn a fault into a sentence
        if type(error).__name__ == "OutOfMemoryError":
            return _explain(
                "The GPU has not enough free memory.", "Use --device cpu or free the GPU.", args
            )
        _show_traceback(args)
        _say(f"error: internal: {type(error).__name__}: {error}")
        if not args.debug:
            _say("       This is a fault of HideSeek; --debug shows where it happened.")
        return 1


def _explain(message: str, remedy: str, args: argparse.Namespace) -> int:
    _show_traceback(args)
    _say(f"error: {message}")
    for line in textwrap.wrap(remedy, 92, break_long_words=False, break_on_hyphens=False):
        _say(f"       {line}")
    return 2


def _show_traceback(args: argparse.Namespace) -> None:
    if args.debug:
        traceback.print_exc()


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _terminate(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit(143)


class _Version(argparse.Action):
    """Print the version; looked up only when asked for."""

    def __init__(self, option_strings: Sequence[str], dest: str) -> None:
        super().__init__(option_strings, dest, nargs=0, help="show the version and exit")

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: object,
        option_string: str | None = None,
    ) -> None:
        sys.stdout.write(f"hideseek {hideseek_backend.__version__}\n")
        parser.exit()
