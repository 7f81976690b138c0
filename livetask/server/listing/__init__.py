"""The list of tasks: what is known of each in short, which of them are wanted, and in what order."""
