"""What stands before the routes: who calls, from where, how often, over what, and what is written down of it."""
