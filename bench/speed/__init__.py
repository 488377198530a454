"""How fast training and ranking are, beside what the work cannot avoid; see docs/speed.md."""
