"""Reading the audit: what it proves, what it tells of a file, of a period; nothing here prints."""
