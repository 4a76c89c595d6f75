"""`tracekeeper`, the command line for people; also a kubectl plug-in."""
