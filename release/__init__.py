"""Build and check the artifacts of a release: `python -m release --help`. RELEASE.md describes the procedure."""
