"""Connections, unit of work, migrations, embedded engines, encryption, COPY."""
