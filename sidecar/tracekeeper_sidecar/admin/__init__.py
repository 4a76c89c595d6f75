"""What people and probes ask the sidecar: metrics, health, ledger, flush."""
