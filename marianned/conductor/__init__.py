"""The conductor: it owns the jobs; each request is one method."""
