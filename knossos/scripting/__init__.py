"""Scripts: what the operator installed, run in a sandbox for those who may, as jobs of the engine.

Owns the catalogue of scripts and runners, who may run them, the sandbox, the run itself and what is kept of it. Knows
neither HTTP nor WebSockets: each protocol (LinkAhead, script-runner) is one module of `knossos.web` over this room.
"""
