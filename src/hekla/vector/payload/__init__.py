"""Payload indexes: from the values at a path to the rows that have them."""
