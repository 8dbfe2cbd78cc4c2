"""The market as a part of a site (docs/market.md): its door, its office that does what is due, and its tags."""
