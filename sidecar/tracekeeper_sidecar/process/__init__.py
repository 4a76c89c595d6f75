"""What is done with spans between the receivers and the log: the steps of a config's section `processors`."""
