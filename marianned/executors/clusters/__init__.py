"""Clusters: attempts as jobs of a batch system, whichever it is; each is one more table of commands."""
