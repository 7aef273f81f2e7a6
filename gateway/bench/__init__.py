"""``fenster bench``: figures with their peers in the same run, and no verdicts."""
