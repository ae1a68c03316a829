// How a kernel is built once per instruction set.
#pragma once

#if defined(__x86_64__)
#define PECO_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define PECO_CLONES
#endif

// Before a loop whose output may be the very buffer of an input, element on element: without it the compiler takes
// that for an overlap, and the loop goes one by one.
#if defined(__clang__)
#define PECO_IN_PLACE _Pragma("clang loop vectorize(assume_safety)")
#else
#define PECO_IN_PLACE
#endif
