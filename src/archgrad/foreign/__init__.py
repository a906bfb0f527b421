"""Files that other people may have written: read within bounds, never followed out of their place, never run.

Whatever stands in a file goes through here before anything believes it: `files` for bytes and paths, `plain` for JSON
and YAML, `columns` for Parquet and CSV, `code` for the names of Python code that a file may hold.
"""
