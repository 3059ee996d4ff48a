"""Listening to a job while it is rendered: a playlist of HLS that grows with its clips.

tickets    addresses that let a player in for 12 hours, without a key
sound      the clips of one job as its recording has them, before mastering
playlist   the list of their fragments, in order; it never forgets what it listed, and is made again by any process
shelf      the playlists that this process has
routes     the routes
"""
