"""Tables in files: reading CSV and Excel row by row, cells, and writing them."""
