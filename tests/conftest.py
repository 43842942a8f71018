"""What every test starts from."""

import compute  # noqa: F401  before NumPy: it says how many threads BLAS may take
