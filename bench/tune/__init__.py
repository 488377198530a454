"""Tuning: every method gets the same number of trials, judged on validation data alone."""
