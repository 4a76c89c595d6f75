"""The segment log: append-only files, one writer, group commit, cursors, recovery."""
