"""A real Kubernetes on this machine, for the demo and the end-to-end tests.

`python -m tests.cluster up` starts it; `tests.cluster.local.Cluster` is what other test code uses.
"""
