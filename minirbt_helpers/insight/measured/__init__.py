"""What is measured: models and numbers in, numbers out. Nothing here draws, and nothing here imports what draws."""
