"""Generate what follows from charts/kuscia/values.schema.yaml: `python -m schema`, or `make schema`."""
