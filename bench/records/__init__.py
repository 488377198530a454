"""Run records on disk: their form, and how they are read, checked and written."""
