"""The command line and the jobs that move data through the house."""
