"""The golden forms, by dialect and case."""
