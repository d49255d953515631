"""Steps that the chart runs: one module per step."""
