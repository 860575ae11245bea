"""Tools for those who keep repositories. They need no Knossos server: they look at files and addresses themselves.

``mirrors`` checks where a repository's files can be had, ``nightlies`` makes a repository of builds of the engine,
``checksums`` fills in what old repositories lack.
"""
