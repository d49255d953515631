"""The causes of failure that `doctor` recognizes, by where they are seen."""
