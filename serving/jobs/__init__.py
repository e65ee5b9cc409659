"""Jobs that score more than one request can hold: kept, run by a process of their own, and their routes."""
