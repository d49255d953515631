"""Commands that read the state of a release (doctor, status, logs, invite), or of a deployment by hand (adopt)."""
