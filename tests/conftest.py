"""What every test may use: the project's programs as processes, and the real cluster."""

pytest_plugins = ["cluster.fixtures", "programs", "sidecar_process"]
