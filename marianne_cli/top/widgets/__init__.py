"""The widgets of `mzt top`: lines, rows, an output, bars, dialogs; and their colours."""
