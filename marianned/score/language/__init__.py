"""Small languages inside scores: conditions, expressions, placeholders, shell quoting."""
