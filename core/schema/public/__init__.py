"""The pages that customers see: no JavaScript, no cookies; a GET never changes anything."""
