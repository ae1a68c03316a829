// OpenBLAS's C interface; `openblas_get_corename` tells which processor's kernels are in use.
#pragma once
#include <cblas.h>

char *openblas_get_corename(void);
