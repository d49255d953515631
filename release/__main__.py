"""Command line of releases: `python -m release --help`."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import click

from release import changes, chart, image, sbom, versions
from release.chart import Home

OUTPUT = click.option(
    "--output", type=click.Path(path_type=Path), default=versions.ROOT / "build/release", help="Directory to write to."
)
OWNER = click.option("--owner", envvar="OWNER", required=True, help="Owner of the registry namespace ghcr.io/OWNER.")
REPOSITORY = click.option(
    "--repository", help="Address of the repository. Default: https://github.com/OWNER/kuscia-chart"
)


@click.group()
def main() -> None:
    """Build and check the artifacts of a release."""


@main.command("version")
def version_command() -> None:
    """Print the version of the next release."""
    click.echo(versions.version())


@main.command()
@click.option("--tag", help="Tag of a release that is about to be published, such as v1.2.3.")
def check(tag: str | None) -> None:
    """Check that all files have the version of the chart. With --tag, also that the changes are in CHANGELOG.md."""
    version = versions.version()
    wrong = versions.mismatches()
    if tag is not None:
        wrong += changes.mismatches(version)
        if tag != f"v{version}":
            wrong.append(versions.Mismatch("tag", tag, f"v{version}"))
    for mismatch in wrong:
        click.echo(f"error: {mismatch}", err=True)
    if wrong:
        sys.exit(1)
    click.echo(f"version {version}: consistent")


@main.command()
@OWNER
@REPOSITORY
@OUTPUT
def artifacts(owner: str, repository: str | None, output: Path) -> None:
    """Write the chart, the bill of materials, the notes and the checksums of the release."""
    version, home = versions.version(), _home(owner, repository)
    packaged = chart.package(output, home, _epoch())
    bill = output / f"kuscia-hooks-{version}.cdx.json"
    sbom.write(bill)
    text = output / "notes.md"
    text.write_text(changes.linked(changes.notes(version), home.pages(version)) + "\n")
    sums = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in (packaged, bill)]
    (output / "SHA256SUMS").write_text("".join(sums))
    click.echo("".join(sums), nl=False)


@main.command("image")
@OWNER
@OUTPUT
def image_command(owner: str, output: Path) -> None:
    """Build the image of the steps twice, compare the builds, and write the image as an OCI archive."""
    version = versions.version()
    reference = f"{_home(owner, None).image}:{version}"
    try:
        digest = image.build(output / f"kuscia-hooks-{version}.tar", reference, _epoch())
    except image.NotReproducible as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{digest}  {reference} (two builds)")


def _home(owner: str, repository: str | None) -> Home:
    return Home(owner, repository or f"https://github.com/{owner}/kuscia-chart")


def _epoch() -> int:
    """Return SOURCE_DATE_EPOCH, or else the time of the last commit."""
    given = os.environ.get("SOURCE_DATE_EPOCH")
    command = ["git", "log", "-1", "--format=%ct"]
    return int(given or subprocess.run(command, cwd=versions.ROOT, check=True, capture_output=True, text=True).stdout)


if __name__ == "__main__":
    main()
