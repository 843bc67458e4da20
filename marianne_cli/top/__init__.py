"""`mzt top`: all jobs live in a terminal, drawn by Textual, over the public client and nothing below it."""
