"""Who asks, and what they may do: everything that leaves the server or enters it passes here.

``caller`` and ``presented`` are plain values; ``gate`` stands before every request and every Socket.IO connection.
"""
