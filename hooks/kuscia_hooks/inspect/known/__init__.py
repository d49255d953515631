"""The known causes of failure, by where they show."""
