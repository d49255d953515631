"""The models of the configuration files of the steps.

The chart renders the files; tests/chart loads every rendered one through these models.
"""
