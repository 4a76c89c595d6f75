"""What every test may use: the project's programs as processes, and the real cluster."""

pytest_plugins = ["programs", "sidecar_process"]
