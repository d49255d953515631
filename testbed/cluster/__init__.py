"""A real Kubernetes on this machine, for the demo and the end-to-end tests.

`python -m testbed.cluster up` starts it; `testbed.cluster.local.Cluster` is what other test code uses.
"""
