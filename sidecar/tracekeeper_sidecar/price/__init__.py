"""What calls of models cost: the book of prices, overrides, and arithmetic, for every stage that prices."""
