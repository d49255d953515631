"""The commit from which upgrades are tested."""

EARLIER = "38d5b696e9edc1bea51825d41148c5cb501869fe"
"""An earlier commit of the chart. The tag of the first release takes its place."""
