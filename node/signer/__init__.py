"""The node key in a process of its own: what may be asked of it, the process, and the node's end of the socket.

Nothing is imported here: a node that holds its key itself needs none of it.
"""
