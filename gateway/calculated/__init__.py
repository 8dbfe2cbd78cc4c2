"""Tags that are made of tags: the part that reckons them. It writes what nobody else can, and knows no device."""
