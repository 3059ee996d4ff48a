"""POST /v1/audio/speech and its neighbours, as clients of OpenAI's API send them.

request    the body, its aliases, and the order that it becomes             aliases
hire       plans a short text here, and accepts the job with its segments ready; a long one goes to the desk
narration  the settled clips of that job in order, as the bytes of one file  encoder
answer     the bytes on the wire, as audio or as server-sent events, until the client has left
routes     the routes
"""
