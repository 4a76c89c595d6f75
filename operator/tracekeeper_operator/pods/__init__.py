"""The pods that have a sidecar, should have one, or have an old one: found, counted, mended where that is wanted."""
