"""How the runs of a plan are carried out; every executor gives the same outcomes."""
