"""The tool `copier_polar`, tested in process."""
