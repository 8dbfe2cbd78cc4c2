"""The health of a site's assets: each day looked at once, what is made of them, and what is to be maintained."""
