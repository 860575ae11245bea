"""The live side: one process that follows the events of all jobs and brings them to everyone who watches.

``application.serve(settings)`` runs it. Nothing is imported here: the HTTP server takes the messages' shapes from
``messages`` and needs no Tornado for that.
"""
