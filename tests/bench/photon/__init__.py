"""Press to photon, Fenster beside others: one X server, one target window, one browser, in turn in one run."""
