"""python -m lmi_fast module.handler"""

import sys

from .runtime.runtime import main

main(sys.argv[1:])
