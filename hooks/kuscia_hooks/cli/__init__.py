"""The command `kuscia-hooks`, with one subcommand for each step and each command that reads a release."""

from collections.abc import Callable
from typing import Any

import click

from kuscia_hooks.cli.command import (
    config_file,
    dry_run_flag,
    file_command,
    inspection,
    load,
    main,
    option,
    print_text,
    repair_command,
    step_command,
    timeout_option,
)

__all__ = ["main"]


@step_command("keys --domain-id alice --namespace lite-alice --key-secret alice-key --cert-configmap alice-cert")
@dry_run_flag
@option("--domain-id", required=True, help="ID of the domain.")
@option("--namespace", required=True, help="Namespace of the release.")
@option("--key-secret", required=True, help="Secret to create for the key.")
@option("--cert-configmap", required=True, help="ConfigMap to create for the certificate.")
@option("--existing-secret", default="", help="Existing Secret with the key, used instead of --key-secret.")
@option("--existing-secret-key", default="domain.key", show_default=True, help="Key in the existing Secret.")
@option("--label", multiple=True, metavar="NAME=VALUE", help="Label of the created objects; may be repeated.")
def keys(label: tuple[str, ...], **names: str) -> tuple[Any, Any]:
    """Create the RSA key of the domain and its certificate if they do not exist."""
    from kuscia_hooks.steps import keys as step

    labels = {}
    for pair in label:
        name, equals, labels[name] = pair.partition("=")
        if not (name and equals):
            raise click.BadParameter(f"{pair!r} is not NAME=VALUE", param_hint="--label")
    return step, step.Settings(labels=labels, **names)


@step_command("prepare --config prepare.yaml --base kuscia.yaml --output /run/kuscia/kuscia.yaml")
@config_file
@option("--base", required=True, metavar="FILE", help="kuscia.yaml without its secrets.")
@option("--output", required=True, metavar="FILE", help="Path of the complete kuscia.yaml.")
def prepare(config: str, base: str, output: str) -> tuple[Any, Any]:
    """Wait for what a Kuscia pod needs, then write its kuscia.yaml."""
    from kuscia_hooks.core.config.prepare import Prepare
    from kuscia_hooks.steps import prepare as step

    return step, step.Settings(load(Prepare, config), base, output)


@step_command("seed --mode job --config seed.yaml", kube=False)
@config_file
def seed(config: str) -> tuple[Any, Any]:
    """Write the tables of a localfs data source to the volume of the lite if they do not exist."""
    from kuscia_hooks.core.config.data import Seed
    from kuscia_hooks.steps import seed as step

    return step, load(Seed, config)


@step_command("register --dry-run --config register.yaml")
@config_file
@dry_run_flag
@option("--verify", is_flag=True, help="Read every deploy token instead of trusting the ledger.")
def register(config: str) -> tuple[Any, Any]:
    """Create a Domain for each lite, and a Secret with its deploy token."""
    from kuscia_hooks.core.config.files import load_register
    from kuscia_hooks.steps import register as step

    return step, load_register(config)


@step_command("routes --verify --config routes.yaml")
@config_file
@dry_run_flag
@option("--verify", is_flag=True, help="Read every route instead of trusting the ledger.")
def routes(config: str) -> tuple[Any, Any]:
    """Create the routes between the lites, and the AppImages."""
    from kuscia_hooks.core.config.routes import Routes
    from kuscia_hooks.steps import routes as step

    return step, load(Routes, config)


@repair_command("reconcile --register register.yaml --routes routes.yaml")
@option("--register", "register_file", required=True, metavar="FILE", help="YAML file of the step register.")
@option("--routes", "routes_file", required=True, metavar="FILE", help="YAML file of the step routes.")
def reconcile(register_file: str, routes_file: str) -> dict[str, Callable[[], tuple[Any, Any]]]:
    """Compare domains, routes and AppImages with the values, and repair differences.

    Runs the steps register and routes with the same deadline each; one that fails does not stop the other.
    """
    from kuscia_hooks.core.config.files import load_register
    from kuscia_hooks.core.config.routes import Routes
    from kuscia_hooks.steps import register, routes

    return {
        "register": lambda: (register, load_register(register_file)),
        "routes": lambda: (routes, load(Routes, routes_file)),
    }


@step_command("data --mode job --config data.yaml")
@config_file
@dry_run_flag
def data(config: str) -> tuple[Any, Any]:
    """Upload the tables of a lite, and declare its data source, tables and grants."""
    from kuscia_hooks.core.config.data import Data
    from kuscia_hooks.steps import data as step

    return step, load(Data, config)


@step_command("check --timeout 600 --config check.yaml")
@config_file
def check(config: str) -> tuple[Any, Any]:
    """Check the deployment. Exits 1 if a check failed."""
    from kuscia_hooks.core.config.check import Check
    from kuscia_hooks.steps import check as step

    return step, load(Check, config)


output_option = option(
    "--output",
    "-o",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="json: one object on one line (docs/operations.md).",
)


@inspection("doctor --output json")
@output_option
@option("--bundle", default="", metavar="FILE", help="Save what was read as tar.gz, without secrets; - prints it.")
def doctor(settings: Any, kube: Any, open_api: Callable[[], Any], output: str, bundle: str) -> int:
    """Find known causes of failure, with the fix for each.

    Exits 1 if one was found, and 2 if none was, but not everything could be checked.
    """
    from kuscia_hooks.inspect import doctor as command

    return command.attempt(settings, kube, open_api, output == "json", bundle)


@inspection("status --output json")
@output_option
def status(settings: Any, kube: Any, open_api: Callable[[], Any], output: str) -> int:
    """Show pods, steps, domains and nodes, routes, tables and jobs. Exits 1 if a part could not be read."""
    from kuscia_hooks.inspect import output as printed
    from kuscia_hooks.inspect import status as command

    found = command.collect(settings, kube, open_api)
    print_text(printed.as_json(found) if output == "json" else command.as_text(found))
    return 1 if found["unknown"] else 0


@inspection("logs --follow psi-2f61c0")
@click.argument("job", default="")
@option("--follow", "-f", is_flag=True, help="Wait for the engines, and print until they end.")
@option("--container", default="", help="Container of an engine that has several.")
@timeout_option
def logs(
    settings: Any, kube: Any, open_api: Callable[[], Any], job: str, follow: bool, container: str, timeout: float
) -> int:
    """Print the engine logs of JOB, by default the latest. Exits 1 if a log of this domain could not be read."""
    from kuscia_hooks.core.waiting import Deadline
    from kuscia_hooks.inspect import engine_logs as command

    deadline = Deadline(timeout)
    outcome = command.attempt(settings, kube, open_api(), command.Query(job, follow, container), deadline)
    print_text(outcome.line(deadline.elapsed()))
    return 1 if outcome.lost else 0


@inspection("invite carol --endpoint https://kuscia.example.com")
@click.argument("domain")
@option("--endpoint", default="", help="Address at which the partner reaches this gateway.")
@option("--chart", default="./charts/kuscia", show_default=True, help="Where the partner gets the chart.")
def invite(settings: Any, kube: Any, _: Callable[[], Any], domain: str, endpoint: str, chart: str) -> int:
    """Print the values that DOMAIN, a partner in another cluster, needs to install. Contains no secrets."""
    from kuscia_hooks.inspect import invite as command

    print_text(command.attempt(settings, kube, domain, endpoint, chart))
    return 0


@file_command("adopt alice < objects.json > alice.yaml")
@click.argument("domain", default="")
@option("--secrets", is_flag=True, help="Print the Secrets that the values name, with the domain key.")
def adopt(text: str, domain: str, secrets: bool) -> tuple[str, Any]:
    """Print the values with which a release takes over DOMAIN, which was deployed by hand.

    Reads Deployments, Services and ConfigMaps of its namespace from standard input (kubectl get -o json).
    """
    from kuscia_hooks.inspect import adopt as command

    return command.attempt(text, domain, secrets)
