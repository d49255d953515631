"""Command line of the local cluster: `python -m testbed.cluster --help`."""

import sys

import click

from . import lifecycle, preflight, toolchain, versions
from .errors import ClusterError
from .names import DEFAULT_NAME, NAME_RULE, Names
from .status import report


def _names(_: click.Context, __: click.Parameter, value: str) -> Names:
    try:
        return Names(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


named = click.option(
    "--name",
    "names",
    default=DEFAULT_NAME,
    show_default=True,
    callback=_names,
    help=f"Name of the cluster; {NAME_RULE}.",
)


@click.group()
def main() -> None:
    """A real Kubernetes on this machine, in one network namespace."""


@main.command()
@named
@click.option(
    "--kubernetes",
    type=click.Choice(sorted(versions.BUILDS)),
    help=f"Minor version of Kubernetes.  [default: that of the existing cluster, or {versions.DEFAULT}]",
)
def up(names: Names, kubernetes: str | None) -> None:
    """Start or repair the cluster; do nothing if it is healthy."""
    lifecycle.up(names, kubernetes)


@main.command()
@named
def down(names: Names) -> None:
    """Remove the cluster completely, except the built tools."""
    lifecycle.down(names)


@main.command()
@named
def restart(names: Names) -> None:
    """Stop the node as a power failure does, and start it again with its data."""
    lifecycle.restart(names)


@main.command()
@named
def status(names: Names) -> None:
    """Show daemons, node and pods; exit 0 only if all daemons and the node are healthy."""
    preflight.check_user()
    text, healthy = report(names)
    click.echo(text)
    sys.exit(0 if healthy else 1)


@main.command()
@named
def kubeconfig(names: Names) -> None:
    """Print the path of the administrator's kubeconfig."""
    click.echo(names.kubeconfig)


@main.command()
@named
def env(names: Names) -> None:
    """Print shell lines that set KUBECONFIG and put the tools first in PATH."""
    click.echo(f'export KUBECONFIG="{names.kubeconfig}"')
    click.echo(f'export PATH="{toolchain.bin_dir()}:$PATH"')


@main.command()
@click.argument("tools", nargs=-1, type=click.Choice(sorted(toolchain.TOOLS)))
def tools(tools: tuple[str, ...]) -> None:
    """Build the command-line tools (by default all except another Kubernetes) and print the directory they are in."""
    click.echo(toolchain.ensure(tools or toolchain.DEFAULT_TOOLS))


def run() -> None:
    """Run the command; print an error as one message. Exit codes: 1 failed, 2 requirements not met."""
    try:
        main()
    except ClusterError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    run()
