"""Command line of releases: `python -m release --help`."""

import hashlib
import sys
from pathlib import Path

import click

from release import changes, chart, sbom, versions
from release.options import OUTPUT, OWNER, epoch, home

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
    version, published = versions.version(), home(owner, repository)
    packaged = chart.package(output, published, epoch())
    bill = output / f"kuscia-hooks-{version}.cdx.json"
    sbom.write(bill)
    text = output / "notes.md"
    text.write_text(changes.linked(changes.notes(version), published.pages(version)) + "\n")
    sums = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in (packaged, bill)]
    (output / "SHA256SUMS").write_text("".join(sums))
    click.echo("".join(sums), nl=False)


if __name__ == "__main__":
    main()
