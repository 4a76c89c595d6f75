"""What every test may use: the project's programs as processes, and the real cluster."""

from hypothesis import settings

# A machine under load is slow now and then, which is nothing that a test of properties is about.
settings.register_profile("tracekeeper", deadline=None)
settings.load_profile("tracekeeper")

pytest_plugins = ["cluster.fixtures", "programs", "sidecar_process"]
