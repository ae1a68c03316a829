// The processor's peak, measured: what matrix products and convolutions are to be compared with.
#pragma once

/// Runs `rounds` rounds of independent fused multiply-adds on the widest vectors of the calling thread's
/// processor and returns how many floating-point operations that were. `sink` receives a value that depends
/// on all of them.
double peco_multiply_add_rounds(long rounds, float *sink);
