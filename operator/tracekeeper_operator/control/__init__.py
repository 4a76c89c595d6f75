"""The control stream: sidecars attach, share a target, and tell each other what they keep."""
