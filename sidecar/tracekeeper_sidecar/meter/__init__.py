"""What the application's spans say, counted: a pass of its own over the log, whose counts outlive restarts."""
