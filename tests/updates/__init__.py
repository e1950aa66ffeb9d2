"""Updates: whatever was generated and whatever its user made of it, `copier update` brings it to the newest version."""
