"""Moved to firkin.pytest.home."""

from firkin.pytest.home import HOME_VARIABLE as HOME_VARIABLE
from firkin.pytest.home import SESSION_VARIABLE as SESSION_VARIABLE
from firkin.pytest.home import Home as Home
from firkin.pytest.home import fresh_home as fresh_home
from firkin.pytest.home import inhabited as inhabited
from firkin.pytest.home import session_dir as session_dir
