"""What the calls of models have cost, added up from what sidecars state, and what budgets say of it."""
