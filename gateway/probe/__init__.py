"""fenster probe: what a person at a running session gets, stage by stage."""
