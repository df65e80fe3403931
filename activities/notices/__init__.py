"""Notices: what people are told of, made from the audit's records and sent until it arrived or is given up."""
