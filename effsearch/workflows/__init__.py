"""Begin, continue, drive and conclude a run: what a command and a call of the library both do."""
