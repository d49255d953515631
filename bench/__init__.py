"""Benchmarks of the steps on the stand-in, paced as a real master. `make bench` runs them; see README.md."""
