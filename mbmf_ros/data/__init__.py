"""Transitions: exploration, collection, the store, and the durable log."""
