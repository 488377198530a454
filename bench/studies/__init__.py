"""What was tried, and what learned thresholds do: looks at records and searches."""
