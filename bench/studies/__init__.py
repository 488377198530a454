"""Studies: analyses of records and of the search for thresholds."""
