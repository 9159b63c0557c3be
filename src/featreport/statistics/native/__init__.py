"""What is written in C: the loops that read a tensor once."""
