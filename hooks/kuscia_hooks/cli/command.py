"""How the subcommands of `kuscia-hooks` are declared and run.

Only what `--help` needs is imported at the top: the clients of Kubernetes, S3 and databases take a second to import.
"""

import codecs
import functools
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import click

if TYPE_CHECKING:
    from kuscia_hooks.core.errors import StepError, StepWarning
    from kuscia_hooks.steps import Context, Outcome, Step

    _Given = Callable[[], tuple[Step[Any], Any]]

_SIGTERM_EXIT = 128 + signal.SIGTERM

option = functools.partial(click.option, show_envvar=True)
config_file = option("--config", required=True, metavar="FILE", help="YAML file of the step.")
release_file = option(
    "--config",
    default="/etc/kuscia-hooks/doctor.yaml",
    show_default=True,
    metavar="FILE",
    help="YAML file that describes the release.",
)
dry_run_flag = option("--dry-run", is_flag=True, help="Print the plan and change nothing.")
timeout_option = option(
    "--timeout", type=click.FloatRange(min=0), default=0, show_default=True, help="Deadline in seconds; 0 means none."
)
_log_format = option(
    "--log-format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="json: one object per line, with time, level, message, error_id, fix and see.",
)
_mode = option(
    "--mode",
    type=click.Choice(["hook", "job"]),
    default="hook",
    show_default=True,
    help="hook: fail on the first non-retryable error. job: report it and retry slowly.",
)


class _Command(click.Command):
    """A command whose summary is never cut, and whose example is printed as it is."""

    def __init__(self, *args: Any, example: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.epilog = f"\b\nExample:\n  kuscia-hooks {example}"

    def get_short_help_str(self, limit: int = 0) -> str:
        return " ".join((self.help or "").split())


@click.group(
    context_settings={
        "help_option_names": ["-h", "--help"],
        "max_content_width": 110,
        "auto_envvar_prefix": "KUSCIA_HOOKS",
    }
)
def main() -> None:
    """Steps and commands that set up and inspect a Kuscia cluster.

    Exit codes: 0 success, 1 timed out, 2 manual action required.
    """


def step_command(
    example: str, *, kube: bool = True
) -> Callable[[Callable[..., tuple["Step[Any]", Any]]], click.Command]:
    """Make a command of a function that turns the options of a step into its module and its settings.

    Args:
        example: command line shown in the help text, without the program name.
        kube: whether the step needs the Kubernetes API.
    """

    def decorate(function: Callable[..., tuple["Step[Any]", Any]]) -> click.Command:
        @functools.wraps(function)
        def command(
            mode: str, timeout: float, log_format: str, dry_run: bool = False, verify: bool = False, **options: Any
        ) -> None:
            begin(log_format)
            given = functools.partial(function, **options)
            _end(_run(function.__name__, given, timeout, mode=mode, kube=kube, dry_run=dry_run, verify=verify))

        return main.command(cls=_Command, example=example)(_mode(timeout_option(_log_format(command))))

    return decorate


def repair_command(
    example: str,
) -> Callable[[Callable[..., Mapping[str, "_Given"]]], click.Command]:
    """Make a command of a function that returns steps by name, which run one after the other and read every object.

    A step that fails does not stop the next one. The exit code is the highest of all steps.

    Args:
        example: command line shown in the help text, without the program name.
    """

    def decorate(function: Callable[..., Mapping[str, "_Given"]]) -> click.Command:
        @functools.wraps(function)
        def command(timeout: float, log_format: str, **options: Any) -> None:
            begin(log_format)
            _end(max(_run(name, given, timeout, verify=True) for name, given in function(**options).items()))

        return main.command(cls=_Command, example=example)(timeout_option(_log_format(command)))

    return decorate


def _run(
    name: str,
    given: "_Given",
    timeout: float,
    *,
    mode: str = "hook",
    kube: bool = True,
    dry_run: bool = False,
    verify: bool = False,
) -> int:
    """Run a step and return the exit code.

    Args:
        given: returns the module of the step and its settings.
        kube: whether the step needs the Kubernetes API.
    """
    from kuscia_hooks.core.errors import StepError
    from kuscia_hooks.core.waiting import Deadline, run
    from kuscia_hooks.steps import Context

    deadline = Deadline(timeout)
    context = Context(deadline, connect=connect, dry_run=dry_run, verify=verify)
    try:
        step, settings = given()
        if kube:
            context.kube  # noqa: B018 - missing credentials are an error that no attempt can fix
    except StepError as error:
        return _report(name, error)
    if mode == "job":
        return run(name, mode, deadline, lambda: _attempt_current(given, context))
    return run(name, mode, deadline, lambda: step.attempt(settings, context))


def _attempt_current(given: "_Given", context: "Context") -> "Outcome":
    """Attempt a step with the present content of its configuration, until that is the same at the end.

    `kubectl apply` leaves the Job of earlier values, which may still be waiting. With the values that it started with,
    it would undo the work of the newer Job.
    """
    from kuscia_hooks.core.log import logger

    while True:
        step, settings = given()
        outcome = step.attempt(settings, context)
        if given()[1] == settings:
            return outcome
        logger.info("the configuration changed during the attempt; repeating it")


def inspection(example: str) -> Callable[[Callable[..., int]], click.Command]:
    """Make a command of a function that reads a release and returns the exit code.

    Args:
        example: command line shown in the help text, without the program name.
    """

    def decorate(function: Callable[..., int]) -> click.Command:
        @functools.wraps(function)
        def command(config: str, log_format: str, **options: Any) -> None:
            begin(log_format)
            from kuscia_hooks.core.config.release import Release
            from kuscia_hooks.core.errors import StepError
            from kuscia_hooks.kuscia.api import brief_api

            try:
                settings, kube = load(Release, config), connect()
                with brief_api(kube, settings) as open_api:
                    code = function(settings, kube, open_api, **options)
            except StepError as error:
                _fail(function.__name__, error)
            _end(code)

        return main.command(cls=_Command, example=example)(release_file(_log_format(command)))

    return decorate


def file_command(example: str) -> Callable[[Callable[..., tuple[str, Sequence["StepWarning"]]]], click.Command]:
    """Make a command of a function that turns standard input into a file, which is printed, and warnings about it.

    Nothing else is printed to standard output, and the file is printed as it is: it may be one of Secrets.

    Args:
        example: command line shown in the help text, without the program name.
    """

    def decorate(function: Callable[..., tuple[str, Sequence["StepWarning"]]]) -> click.Command:
        @functools.wraps(function)
        def command(log_format: str, **options: Any) -> None:
            begin(log_format, stderr=True)
            from kuscia_hooks.core.errors import StepError
            from kuscia_hooks.core.log import warn

            try:
                text, warnings = function(_text(sys.stdin.buffer.read()), **options)
            except StepError as error:
                _fail(function.__name__, error)
            for warning in warnings:
                warn(warning)
            click.echo(text, nl=False)
            _end(0)

        return main.command(cls=_Command, example=example)(_log_format(command))

    return decorate


def _text(data: bytes) -> str:
    """Return the content of a file; PowerShell writes redirected output in UTF-16, and editors write a mark first."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", errors="replace")
    return data.decode("utf-8-sig", errors="replace")


def load(model: type[Any], path: str) -> Any:
    """Read a configuration file as a model of `core.config`. Raises ConfigError."""
    from kuscia_hooks.core.config import files

    return files.load(path, model)


def connect() -> Any:
    """Return a client for the cluster of the ServiceAccount or the current kubeconfig. Raises PermanentError."""
    from kuscia_hooks.cluster.client import Kube

    return Kube()


def print_text(text: str) -> None:
    """Print text with secrets masked."""
    from kuscia_hooks.core.log import logger

    logger.info("%s", text)


def begin(log_format: str, *, stderr: bool = False) -> None:
    """Set up the log, and stop cleanly on SIGTERM."""
    from kuscia_hooks.core import log

    log.setup(as_json=log_format == "json", stderr=stderr)
    signal.signal(signal.SIGTERM, _stop)


def _stop(*_: object) -> None:
    # Python ignores the signal as the first process of a container. Waiting threads must not delay the exit.
    from kuscia_hooks.core import cleanup

    try:
        cleanup.stop()
        # Fails if the signal interrupted a write to a slow standard output.
        sys.stdout.flush()
    finally:
        os._exit(_SIGTERM_EXIT)


def _end(code: int) -> NoReturn:
    sys.stdout.flush()
    raise SystemExit(code)


def _fail(command: str, error: "StepError") -> NoReturn:
    _end(_report(command, error))


def _report(command: str, error: "StepError") -> int:
    from kuscia_hooks.core import termination, waiting
    from kuscia_hooks.core.errors import DeadlineExceeded, RetryableError

    waiting.log_error(command, error)
    termination.write_error(error)
    return 1 if isinstance(error, RetryableError | DeadlineExceeded) else 2
