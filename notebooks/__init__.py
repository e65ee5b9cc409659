"""What a data scientist does by hand, with the same public functions that the command line uses."""
