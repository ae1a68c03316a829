// HDF5's predefined types and property-list classes are macros over globals that Swift cannot import;
// the functions here hand them out.
#pragma once
#include <hdf5.h>

static inline hid_t peco_h5_native_float(void) { return H5T_NATIVE_FLOAT; }
