"""Import: what the Hub schedules by itself, written as policies of ours for a person to read, check and enable."""
