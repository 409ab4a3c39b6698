"""The app that answers, and the warm versions behind it."""
