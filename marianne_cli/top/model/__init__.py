"""The state that `mzt top` shows, and the rows and lines made of it: no widget, no clock but for ages."""
