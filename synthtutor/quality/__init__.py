"""What texts are measured by without a model. Every measure reads a text once and forgets it."""
