"""Command line of the demo: `python -m testbed.demo up|down`."""

import os
import sys

import click

from testbed.cluster.errors import ClusterError
from testbed.cluster.kubectl import CommandError
from testbed.demo.demo import NEEDS_PREFIX, Demo, StepError
from testbed.demo.failure_report import failure_report


@click.group()
def main() -> None:
    """The demo."""


def _demo() -> Demo:
    name, prefix = os.environ.get("CLUSTER", "kuscia"), os.environ.get("IMAGE_PREFIX", "")
    if name == "current" and not prefix:
        click.echo(NEEDS_PREFIX, err=True)
        sys.exit(2)
    return Demo(name, prefix, os.environ.get("KUSCIA_IMAGE", ""))


@main.command()
def up() -> None:
    """Bring everything up and show it."""
    demo = _demo()
    try:
        demo.up()
    except (StepError, CommandError) as error:
        click.echo(failure_report(demo.kubectl, demo.namespaces), err=True)
        click.echo(demo.commands.text(), err=True)
        click.secho(
            f"FAILED: {error}\nWhat was installed still runs. Run `make demo` again to continue.", fg="red", err=True
        )
        sys.exit(1)


@main.command()
def down() -> None:
    """Remove what `up` made."""
    _demo().down()


if __name__ == "__main__":
    try:
        main()
    except ClusterError as error:
        click.secho(f"error: {error}", fg="red", err=True)
        sys.exit(error.exit_code)
