"""What launch.sh runs once its virtual environment is there: all processes of a small installation as one program.

Owns the checks before the start, the embedded Redis, the supervision of the children and the ready line. An
entry point like ``server.py``: nothing imports it. A big installation uses systemd and its own Redis instead.
"""
