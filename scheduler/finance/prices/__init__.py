"""What an hour costs and what a posting is worth: the price book, rating, and the parts of the cost."""
