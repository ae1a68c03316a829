// Includes the loops of PECO_LOOPS for each number format, in which PECO_ELEMENT is the type of an element, PECO_LOAD and
// PECO_STORE convert one to and from float32, and PECO_OF names a function: those of bfloat16 end in _bfloat16.
#include "half.h"

#define PECO_ELEMENT float
#define PECO_LOAD(X) (X)
#define PECO_STORE(X) (X)
#define PECO_OF(NAME) NAME
#include PECO_LOOPS
#undef PECO_ELEMENT
#undef PECO_LOAD
#undef PECO_STORE
#undef PECO_OF

#define PECO_ELEMENT uint16_t
#define PECO_LOAD(X) peco_widened(X)
#define PECO_STORE(X) peco_narrowed(X)
#define PECO_OF(NAME) NAME##_bfloat16
#include PECO_LOOPS
#undef PECO_ELEMENT
#undef PECO_LOAD
#undef PECO_STORE
#undef PECO_OF
#undef PECO_LOOPS
