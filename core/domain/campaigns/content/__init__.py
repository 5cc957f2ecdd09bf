"""What a message says: variables, templates, HTML, text messages, links, and checks of all that."""
