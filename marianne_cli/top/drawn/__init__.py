"""What `mzt top` is drawn with: lines, rows, an output, dialogs; their colours."""
