"""The command `kuscia-hooks`: one sub-command for each step."""

import os
import signal
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click

from kuscia_hooks.core import cleanup, log
from kuscia_hooks.core.errors import ConfigError, PermanentError, StepError
from kuscia_hooks.core.log import logger
from kuscia_hooks.core.plan import Summary
from kuscia_hooks.core.waiting import Deadline, run

F = TypeVar("F", bound=Callable[..., Any])
_SIGTERM_EXIT = 128 + signal.SIGTERM


def _options(function: F) -> F:
    for option in (
        click.option("--log-json", is_flag=True, help="Log one JSON object a line."),
        click.option("--timeout", type=click.FloatRange(min=0), default=0, help="Deadline in seconds; 0 means none."),
        click.option(
            "--mode",
            type=click.Choice(["hook", "job"]),
            default="hook",
            help="hook: end at the first error that time does not mend. job: report it and try again slowly.",
        ),
    ):
        function = option(function)
    return function


_config = click.option("--config", "config_path", required=True, help="The step's YAML file.")
_dry_run = click.option("--dry-run", is_flag=True, help="Print what would be done, and do nothing.")


def _stop(*_: object) -> None:
    # As a container's first process Python would ignore the signal; waiting threads must not delay the end.
    cleanup.stop()
    sys.stdout.flush()
    os._exit(_SIGTERM_EXIT)


def _begin(log_json: bool) -> None:
    log.setup(log_json)
    signal.signal(signal.SIGTERM, _stop)


def _end(code: int) -> None:
    sys.stdout.flush()
    raise SystemExit(code)


def _load(path: str, model: Any) -> Any:
    from kuscia_hooks.core import config

    try:
        return config.load(path, model)
    except ConfigError as error:
        logger.error("%s", error)
        _end(2)


def _kube() -> Any:
    from kuscia_hooks.cluster.client import Kube

    try:
        return Kube()
    except PermanentError as error:
        logger.error("%s", error)
        _end(2)


def _settle(step: str, mode: str, timeout: float, attempt: Callable[[Deadline, Summary], None]) -> None:
    """Run a step that makes what lacks, attempt after attempt; its last line counts what all of them did."""
    deadline, summary = Deadline(timeout), Summary()

    def once() -> str:
        attempt(deadline, summary)
        return summary.line(deadline.elapsed())

    _end(run(step, mode, deadline, once))


def _labels(pairs: tuple[str, ...]) -> dict[str, str]:
    labels = {}
    for pair in pairs:
        name, found, value = pair.partition("=")
        if not found or not name:
            raise click.BadParameter(f"{pair!r} is not NAME=VALUE", param_hint="--label")
        labels[name] = value
    return labels


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
def main() -> None:
    """The steps that make a Kuscia cluster work. Exit codes: 0 done, 1 not in time, 2 needs a human."""


@main.command()
@_options
@_dry_run
@click.option("--domain-id", required=True)
@click.option("--namespace", required=True)
@click.option("--key-secret", required=True, help="Secret to make for the key.")
@click.option("--cert-configmap", required=True, help="ConfigMap to make for the certificate.")
@click.option("--existing-secret", default="", help="A Secret with a key of your own instead.")
@click.option("--existing-secret-key", default="domain.key", show_default=True)
@click.option("--label", "label_pairs", multiple=True, metavar="NAME=VALUE", help="For the objects that are made.")
def keys(mode: str, timeout: float, log_json: bool, dry_run: bool, label_pairs: tuple[str, ...], **names: str) -> None:
    """Make the domain's RSA key and its certificate, where they are absent."""
    _begin(log_json)
    from kuscia_hooks.steps import keys as step

    settings, kube = step.Settings(labels=_labels(label_pairs), **names), _kube()

    def attempt(_: Deadline, summary: Summary) -> None:
        step.attempt(settings, kube, summary, dry_run)

    _settle("keys", mode, timeout, attempt)


@main.command()
@_options
@_config
@click.option("--base", required=True, help="kuscia.yaml without its secrets.")
@click.option("--output", required=True, help="Where to write the whole kuscia.yaml.")
def prepare(mode: str, timeout: float, log_json: bool, config_path: str, base: str, output: str) -> None:
    """Wait for what a Kuscia pod needs, then write its kuscia.yaml."""
    _begin(log_json)
    from kuscia_hooks.core.config import Prepare
    from kuscia_hooks.steps import prepare as step

    settings = _load(config_path, Prepare)
    kube, deadline = _kube(), Deadline(timeout)

    def attempt() -> str:
        step.run(settings, base, output, kube, deadline)
        return f"ready after {deadline.elapsed():.1f}s"

    _end(run("prepare", mode, deadline, attempt))


@main.command()
@_options
@_config
def seed(mode: str, timeout: float, log_json: bool, config_path: str) -> None:
    """Put the tables of a localfs data source into the lite's volume, where they are absent."""
    _begin(log_json)
    from kuscia_hooks.core.config import Seed
    from kuscia_hooks.steps import seed as step

    settings = _load(config_path, Seed)

    def attempt(_: Deadline, summary: Summary) -> None:
        step.attempt(settings, summary)

    _settle("seed", mode, timeout, attempt)


@main.command()
@_options
@_config
@_dry_run
def register(mode: str, timeout: float, log_json: bool, config_path: str, dry_run: bool) -> None:
    """Make a Domain for each lite, and put its deploy token into a Secret."""
    _begin(log_json)
    from kuscia_hooks.core.config import Register
    from kuscia_hooks.steps import register as step

    settings, kube = _load(config_path, Register), _kube()

    def attempt(deadline: Deadline, summary: Summary) -> None:
        step.attempt(settings, kube, deadline, summary, dry_run)

    _settle("register", mode, timeout, attempt)


@main.command()
@_options
@_config
@_dry_run
@click.option("--verify", is_flag=True, help="Read every route instead of believing the ledger.")
def routes(mode: str, timeout: float, log_json: bool, config_path: str, dry_run: bool, verify: bool) -> None:
    """Make the routes between the lites, and the AppImages."""
    _begin(log_json)
    from kuscia_hooks.core.config import Routes
    from kuscia_hooks.kuscia.concurrency import ConcurrencyLimit
    from kuscia_hooks.steps import routes as step

    settings, kube, concurrency = _load(config_path, Routes), _kube(), ConcurrencyLimit()

    def attempt(deadline: Deadline, summary: Summary) -> None:
        step.attempt(settings, kube, deadline, summary, dry_run=dry_run, verify=verify, concurrency=concurrency)

    _settle("routes", mode, timeout, attempt)


@main.command()
@_options
@_config
@_dry_run
def data(mode: str, timeout: float, log_json: bool, config_path: str, dry_run: bool) -> None:
    """Upload a lite's tables, and declare data source, tables and grants."""
    _begin(log_json)
    from kuscia_hooks.core.config import Data
    from kuscia_hooks.steps import data as step

    settings, kube = _load(config_path, Data), _kube()

    def attempt(deadline: Deadline, summary: Summary) -> None:
        step.attempt(settings, kube, deadline, summary, dry_run)

    _settle("data", mode, timeout, attempt)


@main.command()
@_options
@_config
def check(mode: str, timeout: float, log_json: bool, config_path: str) -> None:
    """Check the deployment. Exit code 1 when a check failed."""
    _begin(log_json)
    from kuscia_hooks.core.config import Check
    from kuscia_hooks.steps import check as step

    settings = _load(config_path, Check)
    deadline = Deadline(timeout)
    try:
        report = step.attempt(settings, _kube(), deadline)
    except StepError as error:
        logger.error("check: %s", error)
        _end(2)
    logger.info("passed=%d failed=%d in %.1fs", report.passed, report.failed, deadline.elapsed())
    _end(1 if report.failed else 0)


_looks = click.option(
    "--config", "config_path", default="/etc/kuscia-hooks/doctor.yaml", show_default=True, help="The release, as YAML."
)


def _look(config_path: str, work: Callable[[Any, Any, Callable[[], Any]], int]) -> None:
    """Run a command that only reads, and exit with the code that `work` returns."""
    _begin(log_json=False)
    from kuscia_hooks.core.config import Release
    from kuscia_hooks.kuscia.api import at_a_glance

    settings, kube = _load(config_path, Release), _kube()
    try:
        with at_a_glance(kube, settings) as open_api:
            code = work(settings, kube, open_api)
    except StepError as error:
        logger.error("%s", error)
        code = 2
    _end(code)


@main.command()
@_looks
def doctor(config_path: str) -> None:
    """Find the known causes of failure, with the command that mends each. Exit code 1 when one was found."""
    from kuscia_hooks.inspect import doctor as command

    _look(config_path, command.attempt)


@main.command()
@_looks
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def status(config_path: str, as_json: bool) -> None:
    """Show what runs: pods, domains and nodes, routes, tables, jobs. Exit code 1 when a part cannot be read."""
    from kuscia_hooks.inspect import status as command

    def work(settings: Any, kube: Any, open_api: Callable[[], Any]) -> int:
        found = command.collect(settings, kube, open_api)
        logger.info("%s", command.as_json(found) if as_json else command.screen(found))
        return 1 if found["unknown"] else 0

    _look(config_path, work)


@main.command()
@_looks
@click.argument("job", default="")
@click.option("--follow", "-f", is_flag=True, help="Wait for the engines, and go on until they end.")
@click.option("--container", default="", help="One container of an engine that has several.")
@click.option("--timeout", type=click.FloatRange(min=0), default=0, help="Of waiting for an engine; 0 means none.")
def logs(config_path: str, job: str, follow: bool, container: str, timeout: float) -> None:
    """Print what the engines of JOB print, by default of the latest. Exit code 1 when one of the own domain is lost."""
    from kuscia_hooks.inspect import engine_logs as command

    query, deadline = command.Query(job, follow, container), Deadline(timeout)

    def work(settings: Any, kube: Any, open_api: Callable[[], Any]) -> int:
        outcome = command.attempt(settings, kube, open_api(), query, deadline)
        logger.info("%s", outcome.line(deadline.elapsed()))
        return 1 if outcome.lost else 0

    _look(config_path, work)


@main.command()
@_looks
@click.argument("domain")
@click.option("--endpoint", default="", help="The address at which the partner reaches this gateway.")
def invite(config_path: str, domain: str, endpoint: str) -> None:
    """Print what DOMAIN, a partner in another cluster, installs with and sends back. No secret is in it."""
    from kuscia_hooks.inspect import invite as command

    def work(settings: Any, kube: Any, _: Callable[[], Any]) -> int:
        logger.info("%s", command.attempt(settings, kube, domain, endpoint))
        return 0

    _look(config_path, work)
