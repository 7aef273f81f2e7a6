"""Three desktops that are used for as long as one likes, and what of them may not wear out: ``make soak``."""
