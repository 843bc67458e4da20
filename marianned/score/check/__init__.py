"""From the model to sheets that can run: each rule of the language, and the compiled result."""
