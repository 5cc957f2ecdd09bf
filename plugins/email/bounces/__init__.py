"""What comes in by mail: bounces, complaints and replies."""
