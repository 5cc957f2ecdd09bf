"""What the DNS says about a domain that mail is sent from, explained."""
