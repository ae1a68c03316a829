// xxHash as the library has it: the 64-bit hash, at once and in pieces.
#pragma once
#include <xxhash.h>
