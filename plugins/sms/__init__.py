"""Text messages by SMS."""
