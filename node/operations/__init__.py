"""What operators do with a node and its data: back up, restore, prune, migrate, export, import, look at it."""
