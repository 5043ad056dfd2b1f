"""Following the chain over members' HTTP RPC: for observers, and for members without a peer."""
