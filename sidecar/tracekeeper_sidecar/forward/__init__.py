"""Sending spans on: delivery entries with a cursor each, backends behind circuit breakers."""
