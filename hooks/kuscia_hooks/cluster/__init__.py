"""The Kubernetes cluster: API client and ledger."""
