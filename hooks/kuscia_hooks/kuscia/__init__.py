"""Kuscia: its APIs, its gateway, its keys, its datastore and its request bodies."""
