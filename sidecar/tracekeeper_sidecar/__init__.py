"""The data plane: receive → log → forward, with a ledger that accounts for every acknowledged span."""
