"""Where raw data come from: the simulated group, real data sets, a folder of files."""
