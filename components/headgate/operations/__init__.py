"""What an operator does as a whole: retrain, batch, back up, restore, ask for the status."""
