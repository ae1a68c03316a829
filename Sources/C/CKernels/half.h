// One number of bfloat16 in and out, so that loops over them vectorize in every clone, and round alike on every
// processor.
#pragma once
#include <stdint.h>
#include <string.h>

#include "vectormath.h"

PECO_INLINE float peco_widened(uint16_t half) {
  uint32_t bits = (uint32_t)half << 16;
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

PECO_INLINE uint16_t peco_narrowed(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  uint32_t rounded = (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;
  // Rounding up would carry a NaN of many ones over into another number.
  return (uint16_t)((bits & 0x7fffffffu) > 0x7f800000u ? bits >> 16 | 0x40u : rounded);
}
