"""What the sidecar is told to do: the policy or manifest, read at start and again whenever it changes."""
