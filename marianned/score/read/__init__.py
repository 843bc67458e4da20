"""From a score's text to its document and model: places, problems, profiles and files beside it."""
