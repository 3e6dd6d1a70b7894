"""Check the structure of a picture file before a decoder sees it: milliseconds, and no more memory than the file.

A decoder trusts the lengths in a file. These checks follow the parts of a file by their lengths alone, refuse a file
whose parts do not fit it, and leave out the parts that no pixel depends on (texts, profiles, previews), so that no
decoder spends time or memory on them.
"""
