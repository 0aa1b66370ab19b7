"""python -m lmi_fast module.handler"""

import sys

from .runtime.command import main

main(sys.argv[1:])
