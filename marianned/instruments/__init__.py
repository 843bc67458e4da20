"""Instruments: the command-line tools that play sheets, described as data."""
