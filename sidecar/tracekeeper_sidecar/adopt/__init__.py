"""Folders on the node: each pod's own, and those of pods that are gone, whose spans are delivered from here."""
