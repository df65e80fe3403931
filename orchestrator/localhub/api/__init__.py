"""The Hub's operations, one file a family; each takes a call and gives a reply."""
