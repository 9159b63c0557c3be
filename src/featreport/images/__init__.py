"""From an image file to pixels, to batches a network takes, and to the small pictures the page shows."""
