"""Command line of the images: `python -m testbed.images --help`."""

import sys
from pathlib import Path

import click

from release.options import OUTPUT, OWNER, epoch, home
from release.versions import version
from testbed.cluster.errors import ClusterError
from testbed.cluster.local import Cluster
from testbed.cluster.names import DEFAULT_NAME
from testbed.images import rehearsal
from testbed.images.builder import build, load
from testbed.images.sources import DEMO_SOURCES
from testbed.images.tags import image


@click.group()
def main() -> None:
    """Images of the demo and the tests."""


@main.command("build")
@click.argument("names", nargs=-1)
def build_command(names: tuple[str, ...]) -> None:
    """Build NAMES (default: those of the demo) and print their references."""
    for one in build(names or tuple(DEMO_SOURCES)).values():
        click.echo(one.ref)


@main.command("load")
@click.option("--cluster", "cluster_name", default=DEFAULT_NAME, show_default=True)
@click.argument("names", nargs=-1)
def load_command(cluster_name: str, names: tuple[str, ...]) -> None:
    """Build NAMES (default: those of the demo) and import them into a local cluster."""
    load(Cluster(cluster_name), list(build(names or tuple(DEMO_SOURCES)).values()))


@main.command("list")
def list_command() -> None:
    """Show the images of the current tree: reference, and archive if built."""
    for name in DEMO_SOURCES:
        one = image(name)
        state = f"{one.archive.stat().st_size / 1e6:.0f} MB {one.archive}" if one.archive.exists() else "not built"
        click.echo(f"{one.ref}  {state}")


@main.command("release")
@OWNER
@OUTPUT
def release_command(owner: str, output: Path) -> None:
    """Build the image of the steps twice, compare the builds, and write the image as an OCI archive."""
    reference = f"{home(owner).image}:{version()}"
    try:
        digest = rehearsal.build(output / f"kuscia-hooks-{version()}.tar", reference, epoch())
    except rehearsal.NotReproducible as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{digest}  {reference} (two builds)")


if __name__ == "__main__":
    try:
        main()
    except ClusterError as error:
        click.secho(f"error: {error}", fg="red", err=True)
        sys.exit(error.exit_code)
