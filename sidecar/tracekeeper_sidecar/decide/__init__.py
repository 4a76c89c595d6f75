"""What is kept of the traces: rates, budgets, thresholds and overload. Pure; time comes in as monotonic seconds."""
