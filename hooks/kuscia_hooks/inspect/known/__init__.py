"""The causes of failure that `doctor` knows, by where they are seen."""
