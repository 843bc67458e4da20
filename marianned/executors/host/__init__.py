"""Attempts on this host: forked or spawned, found by what they carry, waited for."""
