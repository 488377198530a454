"""Training, ranking and deployment of one run. Records and suites are not known here."""
