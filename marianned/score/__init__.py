"""The score language: text in, values out. Nothing here touches a clock, a process or a database."""
