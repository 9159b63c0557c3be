"""What was measured: the typed results, their codec, and how they reach the disk."""
