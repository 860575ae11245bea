"""From a mod's description to its repository entry: downloads, archives, checksums, the file tree, the mirror."""
