"""The PSI job that `helm test` runs."""
