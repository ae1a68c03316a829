// How a kernel is built once per instruction set.
#pragma once

#if defined(__x86_64__)
#define PECO_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define PECO_CLONES
#endif
