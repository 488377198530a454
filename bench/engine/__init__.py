"""Training and ranking: what happens in one run. It knows neither records nor suites."""
