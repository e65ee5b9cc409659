"""The group itself: settings, legal entities, database, audit log, money. Every other room may import from here."""
