"""Charts by matplotlib's `Figure`, and the geometry of the small graphics that templates draw themselves."""
