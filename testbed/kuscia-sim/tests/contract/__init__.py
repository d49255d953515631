"""Contract tests: the stand-in answers what a real Kuscia was recorded to answer.

`recording` reads transcripts, `world` starts nodes on loopback with `hostcluster` as the cluster below the
lites, `replay` sends the requests, `compare` says what differs. By hand: `python -m contract.run NAME` in
testbed/kuscia-sim; other recordings: KUSCIA_RECORDINGS=DIRECTORY.
"""
