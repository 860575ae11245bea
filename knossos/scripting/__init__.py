"""Scripts of the operator, run for others: the channel on which they talk to the page, the helper they may import."""
