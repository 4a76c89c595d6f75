"""TracingConfig as types: parsing, faults, defaults, selection, and the policy document.

Imported by the operator, the CLI and the sidecar alike, so that all speak of a config's faults in the same
words.
"""
