"""The application."""

import os

from app.values import trimmed

if trimmed(os.environ.get("POLAR_SERVER", "")) == "production":
    # The environment is all there is: .env fills no gap, whoever would read it, such as Alembic's command line.
    os.environ["PYTHON_DOTENV_DISABLED"] = "true"
