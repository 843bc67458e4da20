"""What all tests share: this directory is on the import path, and Hypothesis has no clock of its own."""

from hypothesis import settings

settings.register_profile("marianne", deadline=None, print_blob=True)
settings.load_profile("marianne")
