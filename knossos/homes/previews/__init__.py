"""What a look into a file shows: text, a picture, a table, or that it is none of these.

Only the beginning of a file is read, however large it is. Pure functions of bytes; nothing here trusts a name, or what
a script has written.
"""

from knossos.homes.previews.pictures import picture_type
from knossos.homes.previews.tabular import Table, read_table
from knossos.homes.previews.texts import Text, read_text

__all__ = ["Table", "Text", "picture_type", "read_table", "read_text"]
