#include "layernorm.h"

#include <math.h>

#include "dispatch.h"

#define PECO_LOOPS "layernorm_of.h"
#include "each_format.h"
