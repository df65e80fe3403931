"""Effects: everything that touches a Hub, a disk or a database."""
