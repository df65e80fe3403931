"""Where a run stands, when it may end, and how it went: read out of the audit and the storage, shown by every door."""
