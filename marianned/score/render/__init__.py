"""Prompts and scripts: templates, injected files, the inputs of earlier sheets."""
