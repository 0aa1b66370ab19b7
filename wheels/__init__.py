"""How the wheels are made, checked and tried: README.md."""
