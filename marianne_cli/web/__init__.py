"""The page in the browser: a web server of this user for this user, over the public client; an extra."""
