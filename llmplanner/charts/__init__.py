"""What each chart shows as plain data, drawing it, and exporting it."""
