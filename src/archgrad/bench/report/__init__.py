"""The report of results: one HTML page, and tables for papers."""
