"""What `mzt top` knows, and the rows and lines that it makes of it: no widget, no clock but for ages."""
