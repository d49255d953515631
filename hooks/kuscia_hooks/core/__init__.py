"""Foundations: configuration, errors, logging, plans, waiting, progress."""
